//! The bare loop-back: a program that writes bytes to those who are connected, and does nothing else. No protocol, no
//! database. What it can't do on this machine, the server can't either.
//!
//! The first byte of a connection says what it is: `S` is written to; each further byte of a `P` is one event for every `S`;
//! a `R`, followed by a number of eight bytes, is written so many bytes at once.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// About as long as the event that the hub sends.
pub(super) const EVENT: usize = 230;

/// Serves until it is killed.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(accept()))
}

async fn accept() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let mut out = std::io::stdout();
    writeln!(out, "Listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    let subscribers: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        let subscribers = subscribers.clone();
        tokio::task::spawn_local(async move {
            // Whoever goes away has been measured.
            let _ = attend(stream, subscribers).await;
        });
    }
}

async fn attend(mut stream: TcpStream, subscribers: Rc<RefCell<Vec<TcpStream>>>) -> Result<()> {
    match stream.read_u8().await? {
        b'S' => {
            stream.write_all(b"1").await?;
            subscribers.borrow_mut().push(stream);
        }
        b'P' => {
            let event = [b'x'; EVENT];
            let mut asked = [0; 64];
            loop {
                let count = stream.read(&mut asked).await?;
                if count == 0 {
                    return Ok(());
                }
                for _ in 0..count {
                    for subscriber in subscribers.borrow().iter() {
                        // There is room: the load generator lets few events be under way.
                        subscriber.try_write(&event).context("writing to a subscriber")?;
                    }
                }
            }
        }
        _ => {
            let mut left = usize::try_from(stream.read_u64().await?)?;
            let block = vec![b'x'; 64 << 10];
            while left > 0 {
                let count = left.min(block.len());
                stream.write_all(&block[..count]).await?;
                left -= count;
            }
        }
    }
    Ok(())
}
