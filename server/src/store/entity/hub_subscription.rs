//! A channel that an agent is on, also while it is away.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hub_subscriptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub agent_id: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub channel: String,
    /// Every tracked event up to here has been acknowledged, or been sent as often as it ever is, but for some.
    pub acknowledged_seq: i64,
    /// The places of those, in order: `17,20`.
    #[sea_orm(column_type = "Text", nullable)]
    pub unacknowledged: Option<String>,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
