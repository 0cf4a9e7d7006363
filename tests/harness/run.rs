//! Runs the body of a test, on each kind of database.

use std::future::Future;

use tokio::runtime::Builder;

/// Turns each `async fn name(database: Kind) -> Result<()>` into two tests, `name::sqlite` and `name::postgres`.
///
/// The second fails, and does not skip, where there is no PostgreSQL: a test that silently did not run proves nothing.
#[macro_export]
macro_rules! for_each_database {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident) $body:block)+) => {$(
        $(#[$attribute])*
        async fn $name($database: $crate::Kind) -> anyhow::Result<()> {
            $body
            #[allow(unreachable_code, reason = "a body may end with an error")]
            Ok(())
        }

        mod $name {
            #[test]
            fn sqlite() {
                $crate::block_on(super::$name($crate::Kind::Sqlite));
            }

            #[test]
            fn postgres() {
                $crate::block_on(super::$name($crate::Kind::Postgres));
            }
        }
    )+};
}

/// Turns each `async fn name() -> Result<()>` into one test, `name::postgres`: what only several servers on one database do.
#[macro_export]
macro_rules! on_postgres {
    ($($tests:tt)+) => { $crate::on_database! { postgres $($tests)+ } };
}

/// Turns each `async fn name() -> Result<()>` into one test, `name::sqlite`: what has nothing to do with the database.
#[macro_export]
macro_rules! on_sqlite {
    ($($tests:tt)+) => { $crate::on_database! { sqlite $($tests)+ } };
}

/// Turns each `async fn name() -> Result<()>` into one test that bears a database's name.
#[doc(hidden)]
#[macro_export]
macro_rules! on_database {
    ($database:ident $($(#[$attribute:meta])* async fn $name:ident() $body:block)+) => {
        $($crate::on_database! { @one $database, $(#[$attribute])* $name $body })+
    };
    (@one $database:ident, $(#[$attribute:meta])* $name:ident $body:block) => {
        $(#[$attribute])*
        async fn $name() -> anyhow::Result<()> {
            $body
            #[allow(unreachable_code, reason = "a body may end with an error")]
            Ok(())
        }

        mod $name {
            #[test]
            fn $database() {
                $crate::block_on(super::$name());
            }
        }
    };
}

/// Runs a test's body on a runtime of its own.
///
/// # Panics
/// The body failed; the message has every cause.
pub fn block_on(body: impl Future<Output = anyhow::Result<()>>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts");
    let outcome = runtime.block_on(body);
    // Whatever the server still does in the background has nobody left to do it for.
    runtime.shutdown_background();
    if let Err(error) = outcome {
        panic!("{error:?}");
    }
}
