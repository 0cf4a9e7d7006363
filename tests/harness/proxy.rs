//! A way to the server that a test can cut: clients keep one address, whichever server is behind it.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Kind;
use crate::socket::Faults;
use crate::socket::tap::Judging;

/// What a narrow way holds of what is not read, in each direction and at each of its ends.
const NARROW: u32 = 4 * 1024;

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
    /// What was wrong with frames that went by.
    faults: Faults,
}

/// What kind of way it is.
#[derive(Debug, Clone, Default)]
struct Way {
    narrow: bool,
    judging: Option<Judging>,
}

impl Proxy {
    /// Begins to pass on to `target`, a host and port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(target: &str) -> Result<Self> {
        Self::start(target, Way::default()).await
    }

    /// The same, where hardly anything is on its way: a client that stops reading is soon noticed by the server.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn narrow_to(target: &str) -> Result<Self> {
        Self::start(target, Way { narrow: true, judging: None }).await
    }

    /// The same, with a judge who listens to sockets: for clients that are programs of their own. What is wrong fails the
    /// test when this is dropped.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn judging(target: &str, database: Kind) -> Result<Self> {
        let judging = Judging { database, faults: Faults::default() };
        Self::start(target, Way { narrow: false, judging: Some(judging) }).await
    }

    async fn start(target: &str, way: Way) -> Result<Self> {
        let socket = TcpSocket::new_v4().context("making a socket for the proxy")?;
        if way.narrow {
            // Those that are accepted have it from here.
            socket.set_send_buffer_size(NARROW).context("making the way narrow")?;
        }
        socket.bind(([127, 0, 0, 1], 0).into()).context("finding a port for the proxy")?;
        let listener = socket.listen(1024).context("listening for the proxy")?;
        let address = listener.local_addr()?.to_string();
        let target = Arc::new(Mutex::new(target.to_owned()));
        let epoch = watch::Sender::new(0);
        let deaf = watch::Sender::new(&b""[..]);
        let faults = way.judging.as_ref().map(|judging| judging.faults.clone()).unwrap_or_default();
        let accepting = tokio::spawn({
            let (target, epoch, deaf) = (target.clone(), epoch.clone(), deaf.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let target = target.lock().expect("nobody panics while it holds the target").clone();
                    let (epoch, deaf) = (epoch.subscribe(), deaf.subscribe());
                    tokio::spawn(pass_on(client, target, way.clone(), epoch, deaf));
                }
            }
        });
        Ok(Self { address, target, epoch, deaf, accepting, faults })
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
        self.faults.check();
    }
}

async fn pass_on(
    client: TcpStream,
    target: String,
    way: Way,
    mut epoch: watch::Receiver<u64>,
    mut deaf: watch::Receiver<&'static [u8]>,
) {
    epoch.mark_unchanged();
    deaf.mark_unchanged();
    let Ok(server) = connect(&target, way.narrow).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let tap = way.judging.map(|judging| Mutex::new(judging.tap()));
    // The judge hears it first.
    let heard = |by_client: bool, bytes: &[u8]| {
        let Some(tap) = &tap else { return };
        let mut tap = tap.lock().expect("nobody panics while it listens");
        if by_client { tap.client_said(bytes) } else { tap.server_said(bytes) }
    };
    let passing = async {
        tokio::join!(
            copy(from_client, to_server, |bytes| heard(true, bytes), Some(deaf)),
            copy(from_server, to_client, |bytes| heard(false, bytes), None),
        );
    };
    tokio::select! {
        () = passing => {}
        _ = epoch.changed() => {}
    }
}

async fn connect(target: &str, narrow: bool) -> Result<TcpStream> {
    if !narrow {
        return Ok(TcpStream::connect(target).await?);
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(NARROW)?;
    Ok(socket.connect(target.parse()?).await?)
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    heard: impl Fn(&[u8]),
    deaf: Option<watch::Receiver<&'static [u8]>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some(deaf) = deaf.as_ref().filter(|deaf| deaf.has_changed().unwrap_or(false))
            && buffer[..count] != **deaf.borrow()
        {
            std::future::pending::<()>().await;
        }
        heard(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The other end is told that no more comes, and may still have something to say.
    let _ = to.shutdown().await;
}
