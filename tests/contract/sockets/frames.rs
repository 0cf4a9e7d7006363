//! Frames that break the WebSocket protocol, and frames that are unusual and right. What breaks it ends the socket with the
//! code that the document gives for it; nobody else notices.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document::Socket;
use flightdeck_tests::socket::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use flightdeck_tests::{Received, TestServer, for_each_database};

use super::{development, each, each_in_words, is_served, open, question};

/// What a client sends that breaks the protocol.
struct Offence {
    name: &'static str,
    bytes: Vec<u8>,
}

fn offence(name: &'static str, frames: &[Frame]) -> Offence {
    Offence { name, bytes: frames.iter().flat_map(Frame::encode).collect() }
}

/// Commits each offence on a socket of its own, and expects it to be closed with `code`.
async fn each_ends_with(server: &TestServer, socket: &Socket, code: &str, offences: Vec<Offence>) -> Result<()> {
    for Offence { name, bytes } in offences {
        let mut offender = open(server, socket).await.context(name)?;
        // The server may close as soon as it has seen enough.
        drop(offender.send_bytes(&bytes).await);
        offender.expect_close(code).await.context(name)?;
    }
    Ok(())
}

fn breaking_the_protocol() -> Vec<Offence> {
    vec![
        offence("an unmasked frame", &[Frame::text("{}").unmasked()]),
        offence("an unmasked ping", &[Frame::new(PING, "").unmasked()]),
        offence("a reserved bit", &[Frame::text("{}").with_reserved(1)]),
        offence("all reserved bits", &[Frame::text("{}").with_reserved(7)]),
        offence("a reserved opcode for data", &[Frame::new(0x3, "{}")]),
        offence("a reserved opcode for control", &[Frame::new(0xB, "")]),
        offence("a continuation of nothing", &[Frame::new(CONTINUATION, "{}")]),
        offence("a message within a message", &[Frame::text("{").unfinished(), Frame::text("}")]),
        offence("a ping in fragments", &[Frame::new(PING, "").unfinished()]),
        offence("a ping of 126 bytes", &[Frame::new(PING, vec![0; 126])]),
        offence("half a close code", &[Frame::new(CLOSE, vec![3])]),
        offence("a close code that is never sent", &[Frame::close(1005, "")]),
        offence("a close code that does not exist", &[Frame::close(999, "")]),
        Offence { name: "noise", bytes: vec![0xFF; 64] },
        Offence { name: "another HTTP request", bytes: b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec() },
    ]
}

fn too_large(largest: usize) -> Vec<Offence> {
    let half = vec![b' '; largest / 2 + 1];
    vec![
        offence("a message that is a byte too large", &[Frame::text(vec![b' '; largest + 1])]),
        offence(
            "fragments that are too large together",
            &[Frame::text(half.clone()).unfinished(), Frame::new(CONTINUATION, half)],
        ),
        // What is only announced costs nothing, and nobody waits for it.
        Offence { name: "a terabyte", bytes: Frame::new(TEXT, "").encode_head(1 << 40) },
        Offence { name: "more bytes than there are", bytes: Frame::new(TEXT, "").encode_head(u64::MAX) },
    ]
}

for_each_database! {
    async fn what_is_not_the_websocket_protocol_is_closed(database) {
        each(development(database), async |server, socket| {
            each_ends_with(server, socket, "protocol_error", breaking_the_protocol()).await
        })
        .await?;
    }

    async fn what_is_too_large_is_closed(database) {
        each(development(database), async |server, socket| {
            each_ends_with(server, socket, "too_large", too_large(socket.limits.max_message_bytes)).await
        })
        .await?;
    }

    async fn binary_frames_are_closed(database) {
        each_in_words(development(database), async |server, socket| {
            let offences = vec![
                offence("a binary frame", &[Frame::new(BINARY, b"{}".to_vec())]),
                offence("an empty binary frame", &[Frame::new(BINARY, "")]),
                offence("the beginning of a binary message", &[Frame::new(BINARY, "{").unfinished()]),
            ];
            each_ends_with(server, socket, "unsupported_data", offences).await
        })
        .await?;
    }

    async fn what_is_not_utf_8_is_closed(database) {
        each(development(database), async |server, socket| {
            let offences = vec![
                offence("a byte that never occurs", &[Frame::text(b"{\"type\":\"\xff\"}".to_vec())]),
                offence("half a character", &[Frame::text(b"{\"type\":\"\xe2\x82".to_vec())]),
                offence("a surrogate", &[Frame::text(b"\xed\xa0\x80".to_vec())]),
                offence("an overlong slash", &[Frame::text(b"\xc0\xaf".to_vec())]),
                offence("a reason that is not text", &[Frame::new(CLOSE, b"\x03\xe8\xff".to_vec())]),
            ];
            each_ends_with(server, socket, "invalid_text", offences).await
        })
        .await?;
    }

    async fn the_largest_message_is_not_too_large(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            opened.send_text(&" ".repeat(socket.limits.max_message_bytes)).await?;
            opened.until("error").await?;
            is_served(&mut opened, socket).await
        })
        .await?;
    }

    async fn a_message_may_come_in_fragments(database) {
        each_in_words(development(database), async |server, socket| {
            let (question, answer) = question(socket);
            let text = question.to_string();
            let mut opened = open(server, socket).await?;
            let last = text.len() - 1;
            for (index, byte) in text.bytes().enumerate() {
                let frame = Frame::new(if index == 0 { TEXT } else { CONTINUATION }, vec![byte]);
                opened.send_frame(&if index == last { frame } else { frame.unfinished() }).await?;
                if index == 2 {
                    // Control frames may come in between.
                    opened.send_frame(&Frame::new(PING, "in between")).await?;
                    let pong = opened.next().await?;
                    ensure!(pong == Received::Pong(b"in between".to_vec()), "{pong:?} came in place of a pong");
                    opened.send_frame(&Frame::new(CONTINUATION, "").unfinished()).await?;
                }
            }
            opened.until(answer).await?;
            Ok(())
        })
        .await?;
    }

    /// The network cuts where it likes, also in the middle of a header or of a character.
    async fn a_frame_may_come_byte_by_byte(database) {
        each_in_words(development(database), async |server, socket| {
            let (mut question, answer) = question(socket);
            question["surprise"] = "€ 🚀".into();
            let mut opened = open(server, socket).await?;
            for byte in Frame::text(question.to_string()).encode() {
                opened.send_bytes(&[byte]).await?;
                tokio::task::yield_now().await;
            }
            opened.until(answer).await?;
            Ok(())
        })
        .await?;
    }

    async fn a_ping_is_answered_with_its_own_bytes(database) {
        each(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            for payload in [&b""[..], b"x", &[0xFF; 125]] {
                opened.send_frame(&Frame::new(PING, payload)).await?;
                let pong = opened.next().await?;
                ensure!(pong == Received::Pong(payload.to_vec()), "{pong:?} came in place of a pong");
            }
            // Nobody asked for these, and nobody minds.
            opened.send_frame(&Frame::new(PONG, "unasked")).await?;
            is_served(&mut opened, socket).await
        })
        .await?;
    }

    async fn a_goodbye_is_answered_with_its_own_code(database) {
        each(development(database), async |server, socket| {
            open(server, socket).await?.close().await?;
            for code in [1001, 3000, 4999] {
                let mut opened = open(server, socket).await?;
                opened.send_frame(&Frame::close(code, "I have to go")).await?;
                opened.expect_close("the client's own").await?;
                ensure!(opened.next().await? == Received::Ended, "the connection goes on after {code}");
            }
            Ok(())
        })
        .await?;
    }

    async fn what_comes_after_a_goodbye_is_not_heard(database) {
        each(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let (question, _) = question(socket);
            let after = [Frame::close(1000, ""), Frame::text(question.to_string()), Frame::new(BINARY, "x")];
            let bytes: Vec<u8> = after.iter().flat_map(Frame::encode).chain([0xFF; 64]).collect();
            opened.send_frame(&Frame::new(PING, "last")).await?;
            opened.send_bytes(&bytes).await?;
            let pong = opened.next().await?;
            ensure!(pong == Received::Pong(b"last".to_vec()), "{pong:?} came in place of a pong");
            let end = opened.next().await?;
            ensure!(matches!(end, Received::Closed(_)), "{end:?} came in place of a goodbye");
            let end = opened.next().await?;
            ensure!(end == Received::Ended, "{end:?} came after the goodbye");
            Ok(())
        })
        .await?;
    }

    async fn clients_that_leave_in_the_middle_are_forgotten(database) {
        each(development(database), async |server, socket| {
            let (question, _) = question(socket);
            let whole = Frame::text(question.to_string()).encode();
            for length in 0..whole.len() {
                let mut opened = open(server, socket).await?;
                opened.send_bytes(&whole[..length]).await?;
            }
            Ok(())
        })
        .await?;
    }
}
