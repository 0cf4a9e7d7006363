//! The SDK as tests use it: every answer is judged, and the time is the server's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flightdeck_sdk::runtime::{Clock, HttpTransport, RawResponse, Request, Transport, TransportError};
use flightdeck_sdk::{Client, ClientBuilder, Timestamp};
use url::Url;

use crate::Kind;
use crate::judge::{self, Exchange};
use crate::socket::transport::JudgingSockets;
use crate::socket::{Faults, Line};

/// Starts a client whose answers and frames are judged. It does not repeat anything by itself: a test wants to see each
/// answer. Frames are read in tasks of the SDK; what is wrong with them is told to `faults`, which the test's server looks
/// into at its end.
///
/// # Panics
/// The URL is not one.
#[must_use = "a builder does nothing until `build` is called"]
pub fn builder(
    url: &str,
    database: Kind,
    clock: Arc<dyn flightdeck_server::clock::Clock>,
    line: &Line,
    faults: &Faults,
) -> ClientBuilder {
    let base = Url::parse(url).expect("the server's address is a URL");
    let transport = || HttpTransport::new(&base).expect("the SDK's transport starts");
    Client::builder()
        .base_url(url)
        .retries(0)
        .transport(JudgingTransport { inner: transport(), database })
        .socket_transport(JudgingSockets { inner: transport(), database, line: line.clone(), faults: faults.clone() })
        .clock(ServerTime { clock, origin: Instant::now() })
}

/// The SDK's own transport, with the judge behind it.
#[derive(Debug)]
struct JudgingTransport {
    inner: HttpTransport,
    database: Kind,
}

#[async_trait]
impl Transport for JudgingTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let method = request.method.as_str();
        let path = request.url.path().to_owned();
        let response = self.inner.send(request).await?;
        let exchange = Exchange {
            database: self.database,
            method,
            path: &path,
            status: response.status,
            headers: &response.headers,
            body: &response.body,
        };
        if let Err(fault) = judge::judge(&exchange) {
            panic!("{fault:?}");
        }
        Ok(response)
    }
}

/// The server's time of day, for signatures; deadlines go by real time, for it is real time that a test waits.
struct ServerTime {
    clock: Arc<dyn flightdeck_server::clock::Clock>,
    origin: Instant,
}

impl std::fmt::Debug for ServerTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServerTime").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Clock for ServerTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now())
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
