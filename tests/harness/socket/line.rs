//! The line between the SDK's sockets and a server. A test cuts it, and says when there is a connection again, so that
//! what happens meanwhile happens meanwhile.

use tokio::sync::watch;
use url::Url;

/// A line. Clones are the same line. A new one leads where the client's URL says, and connections pass.
#[derive(Debug, Clone)]
pub struct Line(watch::Sender<State>);

#[derive(Debug, Clone, Default)]
struct State {
    /// How often it has been cut.
    cuts: u64,
    /// Whoever wants to connect waits.
    held: bool,
    /// Host and port in place of the client's.
    address: Option<String>,
}

/// One connection over a line.
#[derive(Debug, Clone)]
pub(super) struct Span {
    line: watch::Receiver<State>,
    /// The cuts before it.
    cuts: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Line {
    /// Breaks every connection without a word. New ones pass, unless the line is held.
    pub fn cut(&self) {
        self.0.send_modify(|state| state.cuts += 1);
    }

    /// Lets nobody connect from now on. What is connected stays so.
    pub fn hold(&self) {
        self.0.send_modify(|state| state.held = true);
    }

    /// Lets everybody connect.
    pub fn release(&self) {
        self.0.send_modify(|state| state.held = false);
    }

    /// Leads to another server, by its host and port.
    pub fn lead_to(&self, address: &str) {
        self.0.send_modify(|state| state.address = Some(address.to_owned()));
    }

    /// Waits until the line is free, and says where it leads.
    pub(super) async fn pass(&self, url: &mut Url) -> Span {
        let mut line = self.0.subscribe();
        // The line lives as long as whoever waits here.
        let state = line.wait_for(|state| !state.held).await.map(|state| state.clone()).unwrap_or_default();
        if let Some((host, port)) = state.address.as_deref().and_then(|address| address.rsplit_once(':')) {
            let changed = url.set_host(Some(host)).is_ok() && url.set_port(port.parse().ok()).is_ok();
            assert!(changed, "{host}:{port} is no address");
        }
        Span { line, cuts: state.cuts }
    }
}

impl Span {
    pub(super) fn is_cut(&self) -> bool {
        self.line.borrow().cuts > self.cuts
    }

    /// Completes when the line is cut.
    pub(super) async fn cut(mut self) {
        let cuts = self.cuts;
        if self.line.wait_for(|state| state.cuts > cuts).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_what_was_there_before_it() {
        let line = Line::default();
        let mut url = Url::parse("http://127.0.0.1:1/hub?x=1").expect("it is one");
        let before = line.pass(&mut url).await;
        assert!(!before.is_cut() && before.clone().cut().now_or_never().is_none());
        line.cut();
        let after = line.pass(&mut url).await;
        assert!(before.is_cut() && !after.is_cut());
        before.cut().await;
    }

    #[tokio::test]
    async fn whoever_wants_to_connect_waits_until_the_line_is_free_and_goes_where_it_leads() {
        let line = Line::default();
        line.hold();
        let mut url = Url::parse("http://127.0.0.1:1/hub?x=1").expect("it is one");
        assert!(line.pass(&mut url).now_or_never().is_none());
        line.lead_to("127.0.0.2:2");
        line.release();
        line.pass(&mut url).await;
        assert_eq!(url.as_str(), "http://127.0.0.2:2/hub?x=1");
    }
}
