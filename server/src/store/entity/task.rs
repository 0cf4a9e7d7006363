//! An agent's work in a worktree of its own.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub chat_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub instruction: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub branch: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub agent: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    pub home: Uuid,
    pub has_worktree: bool,
    pub created_at: i64,
    pub updated_at: i64,
    pub ended_at: Option<i64>,
    pub patch_count: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub intended: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub applied: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub reverted: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
