//! A way to the server that a test can cut: clients keep one address, whichever server is behind it.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on, both ways. It ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    target: Arc<Mutex<String>>,
    /// Connections older than this number are cut.
    epoch: watch::Sender<u64>,
    /// Connections that are here when this changes are deaf to all but this.
    deaf: watch::Sender<&'static [u8]>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Begins to pass on to `target`, a host and port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for the proxy")?;
        let address = listener.local_addr()?.to_string();
        let target = Arc::new(Mutex::new(target.to_owned()));
        let epoch = watch::Sender::new(0);
        let deaf = watch::Sender::new(&b""[..]);
        let accepting = tokio::spawn({
            let (target, epoch, deaf) = (target.clone(), epoch.clone(), deaf.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let target = target.lock().expect("nobody panics while it holds the target").clone();
                    tokio::spawn(pass_on(client, target, epoch.subscribe(), deaf.subscribe()));
                }
            }
        });
        Ok(Self { address, target, epoch, deaf, accepting })
    }

    /// Where clients connect: host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads new connections elsewhere.
    ///
    /// # Panics
    /// Never: nobody panics while it holds the target.
    pub fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().expect("nobody panics while it holds the target"));
    }

    /// Cuts every connection, as a network that goes away does: neither end is told by the other.
    pub fn cut(&self) {
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Loses every connection, as a network does that forgets them: whatever a client says but `heard` is not passed on,
    /// nor is anything after it, and no end comes. Connections that are made after this work.
    pub fn stall(&self, heard: &'static [u8]) {
        self.deaf.send_replace(heard);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn pass_on(
    mut client: TcpStream,
    target: String,
    mut epoch: watch::Receiver<u64>,
    mut deaf: watch::Receiver<&'static [u8]>,
) {
    epoch.mark_unchanged();
    deaf.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let talking = async {
        tokio::join!(copy(from_client, to_server, Some(deaf)), copy(from_server, to_client, None));
    };
    tokio::select! {
        () = talking => {}
        _ = epoch.changed() => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    deaf: Option<watch::Receiver<&'static [u8]>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some(deaf) = deaf.as_ref().filter(|deaf| deaf.has_changed().unwrap_or(false))
            && buffer[..count] != **deaf.borrow()
        {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
