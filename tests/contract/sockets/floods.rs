//! Clients that talk too much: they are read more slowly, and nobody else notices.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document::Socket;
use flightdeck_tests::socket::frame::{CONTINUATION, Frame, PING};
use flightdeck_tests::{RawSocket, Received, TestServer, for_each_database};

use super::{development, each, each_in_words, is_served, open, question};

/// How many messages are more than a burst, and how long those take at least that are too many.
fn flood(socket: &Socket) -> (usize, Duration) {
    let rate = socket.limits.messages_per_second;
    let too_many = rate / 4;
    // A burst is two seconds' worth.
    let count = usize::try_from(rate * 2 + too_many).expect("a rate is a small number");
    (count, Duration::from_millis(too_many * 1_000 / rate))
}

/// Sends a frame so many times, while somebody else asks questions; gives how long it took until all were answered.
async fn flooded(
    server: &TestServer,
    socket: &'static Socket,
    frame: &Frame,
    count: usize,
    is_answer: impl Fn(&Received) -> bool,
) -> Result<Duration> {
    flooded_by(server, socket, &frame.encode().repeat(count), count, is_answer).await
}

/// The same for bytes that have so many answers.
async fn flooded_by(
    server: &TestServer,
    socket: &'static Socket,
    bytes: &[u8],
    count: usize,
    is_answer: impl Fn(&Received) -> bool,
) -> Result<Duration> {
    let mut flooding = open(server, socket).await?;
    let mut other = open(server, socket).await?;
    let began = Instant::now();
    flooding.send_bytes(bytes).await?;
    let answered = async {
        let mut answers = 0;
        while answers < count {
            let received = flooding.next().await?;
            ensure!(!matches!(received, Received::Closed(_) | Received::Ended), "{received:?} after {answers} answers");
            answers += usize::from(is_answer(&received));
        }
        Ok(began.elapsed())
    };
    let served = async {
        for _ in 0..5 {
            let asked = Instant::now();
            is_served(&mut other, socket).await.context("somebody else")?;
            let took = asked.elapsed();
            ensure!(took < Duration::from_secs(2), "somebody else was answered after {took:?}");
        }
        Ok(())
    };
    Ok(tokio::try_join!(answered, served)?.0)
}

/// Fills every buffer on the way by talking without listening.
async fn talk_without_listening(opened: &mut RawSocket, frame: &Frame) {
    let many = frame.encode().repeat(2_000);
    // The server stops reading, and so this stops, sooner or later.
    while tokio::time::timeout(Duration::from_millis(200), opened.send_bytes(&many))
        .await
        .is_ok_and(|sent| sent.is_ok())
    {}
}

for_each_database! {
    async fn a_flood_of_messages_is_paced(database) {
        each_in_words(development(database), async |server, socket| {
            let (question, answer) = question(socket);
            let (count, least) = flood(socket);
            let frame = Frame::text(question.to_string());
            let is_answer = |received: &Received| matches!(received, Received::Message(name, _) if *name == answer);
            let took = flooded(server, socket, &frame, count, is_answer).await?;
            ensure!(took >= least, "{count} messages were taken in {took:?}");
            Ok(())
        })
        .await?;
    }

    async fn a_flood_of_pings_is_paced(database) {
        each(development(database), async |server, socket| {
            let (count, least) = flood(socket);
            let frame = Frame::new(PING, "flood");
            let took = flooded(server, socket, &frame, count, |received| matches!(received, Received::Pong(_))).await?;
            ensure!(took >= least, "{count} pings were answered in {took:?}");
            Ok(())
        })
        .await?;
    }

    /// Even empty ones, which no other limit would ever end.
    async fn a_flood_of_fragments_is_paced(database) {
        each_in_words(development(database), async |server, socket| {
            let (question, answer) = question(socket);
            let (count, least) = flood(socket);
            let mut bytes = Frame::text(question.to_string()).unfinished().encode();
            bytes.extend(Frame::new(CONTINUATION, "").unfinished().encode().repeat(count));
            bytes.extend(Frame::new(CONTINUATION, "").encode());
            let is_answer = |received: &Received| matches!(received, Received::Message(name, _) if *name == answer);
            let took = flooded_by(server, socket, &bytes, 1, is_answer).await?;
            ensure!(took >= least, "{count} fragments were taken in {took:?}");
            Ok(())
        })
        .await?;
    }

    /// Nothing but a bounded amount waits for somebody who only talks.
    async fn who_only_talks_is_not_listened_to(database) {
        each(development(database), async |server, socket| {
            let mut talking = open(server, socket).await?.silent();
            talk_without_listening(&mut talking, &Frame::new(PING, vec![b'x'; 125])).await;
            let mut other = open(server, socket).await?;
            is_served(&mut other, socket).await
        })
        .await?;
    }
}
