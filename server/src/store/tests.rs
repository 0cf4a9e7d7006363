//! Migrations and entities agree, and a fresh database takes every row.

use sea_orm::{ConnectionTrait, EntityTrait, QueryTrait, sea_query::SqliteQueryBuilder};

use super::entity;
use super::events::{self, NewEvent};
use super::{SqliteSync, Store, StoreOptions};

async fn store() -> Store {
    let options = StoreOptions { url: "sqlite::memory:".into(), sqlite_sync: SqliteSync::Full, readers: 1 };
    Store::open(&options).await.expect("a database")
}

/// Selects every column that the entity knows; a column that the table lacks is an error.
async fn matches<E: EntityTrait>(store: &Store) {
    let sql = E::find().into_query().to_string(SqliteQueryBuilder);
    store
        .reader()
        .query_all_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql.clone()))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn every_entity_matches_its_table() {
    let store = store().await;
    matches::<entity::agent::Entity>(&store).await;
    matches::<entity::approval::Entity>(&store).await;
    matches::<entity::bridge_key::Entity>(&store).await;
    matches::<entity::chat::Entity>(&store).await;
    matches::<entity::device::Entity>(&store).await;
    matches::<entity::event::Entity>(&store).await;
    matches::<entity::fact::Entity>(&store).await;
    matches::<entity::hub_connection::Entity>(&store).await;
    matches::<entity::hub_subscription::Entity>(&store).await;
    matches::<entity::idempotency_key::Entity>(&store).await;
    matches::<entity::nonce::Entity>(&store).await;
    matches::<entity::pairing::Entity>(&store).await;
    matches::<entity::run::Entity>(&store).await;
    matches::<entity::stream::Entity>(&store).await;
    matches::<entity::turn::Entity>(&store).await;
    matches::<entity::workspace::Entity>(&store).await;
    matches::<entity::workspace_device::Entity>(&store).await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let directory = std::env::temp_dir().join(format!("flightdeck-store-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&directory).expect("a directory");
    let options = StoreOptions {
        url: format!("sqlite://{}", directory.join("test.db").display()),
        sqlite_sync: SqliteSync::Full,
        readers: 2,
    };
    for _ in 0..2 {
        let store = Store::open(&options).await.expect("it opens");
        store.ping().await.expect("it answers");
        store.close().await;
    }
    std::fs::remove_dir_all(directory).expect("it goes");
}

#[tokio::test]
async fn a_new_event_is_found_by_its_id() {
    let store = store().await;
    let event = |number| NewEvent {
        stream: "chats/1".to_owned(),
        id: uuid::Uuid::from_u128(number),
        kind: "turn".to_owned(),
        created_at: 0,
        happened_at: None,
        payload: "{}".to_owned(),
    };
    let tx = store.begin().await.expect("a transaction");
    let connection = tx.connection();
    let appended: Vec<NewEvent> = (1..=5).map(event).collect();
    events::append(connection, &appended.iter().collect::<Vec<_>>()).await.expect("they are appended");
    for (number, newest, place) in [(5, 1, Some(5)), (3, 3, Some(3)), (2, 3, None), (6, 5, None)] {
        let id = uuid::Uuid::from_u128(number);
        let found = events::find_new(connection, "chats/1", id, newest).await.expect("it answers");
        assert_eq!(found, place, "{number} among the newest {newest}");
    }
}
