//! What reading queries run on: the database's connections, with a time limit on each query.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};

/// How long a query may take; more than a pool takes to find out that a connection which waited there is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What read-only queries run on. Each ends in time: a network that loses a connection tells nobody, and the system gives
/// up only after a quarter of an hour.
#[derive(Debug, Clone)]
pub struct Reader(DatabaseConnection);

impl Reader {
    pub(super) const fn new(connection: DatabaseConnection) -> Self {
        Self(connection)
    }

    /// The same for a query that may take as long as it takes.
    #[must_use]
    pub fn patient(&self) -> &(impl ConnectionTrait + use<>) {
        &self.0
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        self.0.close().await
    }
}

async fn in_time<T>(query: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let late = || DbErr::Conn(RuntimeErr::Internal("the database did not answer in time".to_owned()));
    tokio::time::timeout(PATIENCE, query).await.unwrap_or_else(|_| Err(late()))
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        in_time(self.0.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        in_time(self.0.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        in_time(self.0.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        in_time(self.0.query_all_raw(statement)).await
    }
}
