//! A pairing, from start to outcome.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pairings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    #[sea_orm(unique)]
    pub poll_hash: Vec<u8>,
    #[sea_orm(column_type = "Text")]
    pub match_code: String,
    #[sea_orm(column_type = "Text")]
    pub machine_id: String,
    #[sea_orm(column_type = "Text")]
    pub workspace_fingerprint: String,
    #[sea_orm(column_type = "Text")]
    pub display_name: String,
    pub adds_device: bool,
    pub workspace_id: Option<Uuid>,
    pub device_id: Option<Uuid>,
    pub created_at: i64,
    pub expires_at: i64,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
