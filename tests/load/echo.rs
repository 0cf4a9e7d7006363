//! The bare web framework: an endpoint that reads JSON and writes it back. What it can't do, the server can't either.

use std::io::Write;

use anyhow::{Context, Result};
use poem::listener::TcpAcceptor;
use poem::web::Json;
use poem::{Route, Server, handler, post};
use serde_json::Value;

#[handler]
fn echo(Json(body): Json<Value>) -> Json<Value> {
    Json(body)
}

/// Serves until it is killed.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("listening")?;
        listener.set_nonblocking(true)?;
        let mut out = std::io::stdout();
        writeln!(out, "Listening on http://{}", listener.local_addr()?)?;
        out.flush()?;
        let routes = Route::new().at("/echo", post(echo));
        Server::new_with_acceptor(TcpAcceptor::from_std(listener)?).run(routes).await.context("serving")
    })
}
