//! One session of an agent: a projection of its stream.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub provider: String,
    #[sea_orm(column_type = "Text")]
    pub provider_run_id: Option<String>,
    pub workspace_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub last_event_at: i64,
    #[sea_orm(column_type = "Text")]
    pub last_message: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub meta: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
