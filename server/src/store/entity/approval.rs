//! A question in the ledger, and its answer.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approvals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub run_id: Uuid,
    pub workspace_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    #[sea_orm(column_type = "Text")]
    pub command: String,
    #[sea_orm(column_type = "Text")]
    pub cwd_hash: String,
    #[sea_orm(column_type = "Text")]
    pub context: String,
    #[sea_orm(column_type = "Text")]
    pub session_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub tool_name: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub tool_use_id: Option<String>,
    #[sea_orm(unique)]
    pub request_key: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text")]
    pub note: Option<String>,
    pub requested_at: i64,
    pub expires_at: i64,
    pub decided_at: Option<i64>,
    pub decided_by_device_id: Option<Uuid>,
    #[sea_orm(column_type = "Text")]
    pub expiry_reason: Option<String>,
    pub delivered_at: Option<i64>,
    pub consumed_at: Option<i64>,
    pub orphaned_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
