//! Frames that are right, and messages that are not: each is answered with the declared error, and the socket goes on.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document::Socket;
use flightdeck_tests::{RawSocket, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{development, each_in_words, is_served, open};

/// Lists in each other, so many deep.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// What an error frame calls a kind of fault. The hub's original has names of its own.
fn code<'a>(socket: &Socket, code: &'a str) -> &'a str {
    match (socket.name.as_str(), code) {
        ("hub", "not_json") => "PARSE_ERROR",
        ("hub", "unknown_message") => "UNKNOWN_MESSAGE_TYPE",
        ("hub", "invalid_message") => "INVALID_MESSAGE",
        (_, code) => code,
    }
}

/// Says each of these, and expects each to be refused with `fault`, and the socket to go on.
async fn each_is_refused(opened: &mut RawSocket, socket: &Socket, fault: &str, texts: &[(&str, String)]) -> Result<()> {
    let wanted = code(socket, fault);
    for (name, text) in texts {
        opened.send_text(text).await?;
        let error = opened.until("error").await.with_context(|| (*name).to_owned())?;
        ensure!(error["code"] == wanted, "{name} was answered {error} instead of {wanted}");
        is_served(opened, socket).await.with_context(|| format!("after {name}"))?;
    }
    Ok(())
}

/// A message of a socket that has a wrong shape, and where the fault is.
fn misshapen(socket: &Socket) -> Vec<(Value, &'static str)> {
    match socket.name.as_str() {
        "companion" => vec![
            (json!({"type": "subscribe", "since_seq": "1"}), "/since_seq"),
            (json!({"type": "subscribe", "since_seq": -1}), "/since_seq"),
            (json!({"type": "subscribe", "since_seq": 1.5}), "/since_seq"),
            (json!({"type": "event"}), ""),
            (json!({"type": "event", "event": []}), "/event"),
            (json!({"type": "event", "event": {"type": "message"}}), "/event/type"),
            (json!({"type": "event", "event": {"payload": "text"}}), "/event/payload"),
        ],
        "stream" => vec![
            (json!({"type": "subscribe"}), ""),
            (json!({"type": "subscribe", "stream": 1}), "/stream"),
            (json!({"type": "subscribe", "stream": ""}), "/stream"),
            (json!({"type": "subscribe", "stream": "x".repeat(201)}), "/stream"),
            (json!({"type": "subscribe", "stream": "runs/x", "since_seq": -1}), "/since_seq"),
            (json!({"type": "subscribe", "stream": "runs/x", "since_seq": 9_007_199_254_740_993_u64}), "/since_seq"),
            (json!({"type": "authenticate", "token": null}), "/token"),
            (json!({"type": "ping", "id": 7}), "/id"),
        ],
        "cockpit" => vec![
            (json!({"type": "subscribe"}), ""),
            (json!({"type": "subscribe", "since_seq": "1"}), "/since_seq"),
            (json!({"type": "subscribe", "since_seq": -1}), "/since_seq"),
            (json!({"type": "user_message"}), ""),
            (json!({"type": "user_message", "content": ""}), "/content"),
            (json!({"type": "user_message", "content": "x", "taskId": "x"}), "/taskId"),
            (json!({"type": "confirmation", "messageId": "x", "confirmed": true}), "/messageId"),
            (json!({"type": "confirmation", "messageId": Uuid::nil(), "confirmed": "yes"}), "/confirmed"),
        ],
        "chats" => vec![
            (json!({"type": "subscribe"}), ""),
            (json!({"type": "subscribe", "chatId": 1}), "/chatId"),
            (json!({"type": "subscribe", "chatId": "x", "since_seq": -1}), "/since_seq"),
            (json!({"type": "chat", "chatId": "x"}), ""),
            (json!({"type": "chat", "chatId": "x", "content": ""}), "/content"),
            (json!({"type": "research", "chatId": "x", "topic": "x", "repo_name": "../x"}), "/repo_name"),
            (json!({"type": "cancel", "chatId": "x", "turnId": "x"}), "/turnId"),
        ],
        _ => vec![
            (json!({"type": "subscribe"}), ""),
            (json!({"type": "subscribe", "channel": 1}), "/channel"),
            (json!({"type": "subscribe", "channel": "global", "since_seq": -1}), "/since_seq"),
            (json!({"type": "ack"}), ""),
        ],
    }
}

for_each_database! {
    async fn what_is_not_a_json_object_is_refused(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let texts = [
                ("nothing", String::new()),
                ("white space", " \r\n\t".to_owned()),
                ("a word", "ping".to_owned()),
                ("a number", "1".to_owned()),
                ("null", "null".to_owned()),
                ("a text", "\"ping\"".to_owned()),
                ("a list", "[]".to_owned()),
                ("a list of messages", "[{\"type\":\"ping\"}]".to_owned()),
                ("half an object", "{\"type\":".to_owned()),
                ("two objects", "{\"type\":\"ping\"}{\"type\":\"ping\"}".to_owned()),
                ("a trailing comma", "{\"type\":\"ping\",}".to_owned()),
                ("a comment", "{/* x */\"type\":\"ping\"}".to_owned()),
                ("single quotes", "{'type':'ping'}".to_owned()),
                ("NaN", "{\"type\":\"ping\",\"x\":NaN}".to_owned()),
                ("a byte order mark", "\u{feff}{\"type\":\"ping\"}".to_owned()),
                ("a control character in a text", "{\"type\":\"pi\u{1}ng\"}".to_owned()),
            ];
            each_is_refused(&mut opened, socket, "not_json", &texts).await
        })
        .await?;
    }

    /// A reader that follows every bracket needs a stack as deep as the message.
    async fn what_is_nested_too_deeply_is_refused(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let most = socket.limits.max_message_bytes / 2 - 100;
            let texts = [
                ("128 lists", format!("{{\"type\":\"ping\",\"x\":{}}}", nested(128))),
                ("as many lists as there is room for", format!("{{\"type\":\"ping\",\"x\":{}}}", nested(most))),
                ("only brackets", nested(most)),
                ("only opening brackets", "[".repeat(most)),
                ("objects", format!("{}1{}", "{\"x\":".repeat(10_000), "}".repeat(10_000))),
            ];
            each_is_refused(&mut opened, socket, "not_json", &texts).await
        })
        .await?;
    }

    async fn what_is_no_message_of_the_socket_is_refused(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let mut texts = vec![
                ("an empty object", "{}".to_owned()),
                ("a type that nobody knows", json!({"type": "jump"}).to_string()),
                ("a type that is a number", json!({"type": 1}).to_string()),
                ("a type that is null", json!({"type": null}).to_string()),
                ("a very long type", json!({"type": "x".repeat(10_000)}).to_string()),
                ("a message of the server", json!({"type": "synced", "seq": 1}).to_string()),
                ("what was meant by another name", json!({"kind": "ping"}).to_string()),
            ];
            let another_case = json!({"type": " PING"});
            if socket.relaxed {
                opened.send(&another_case).await?;
                opened.until("pong").await.context("a type of another case")?;
            } else {
                texts.push(("a type of another case", another_case.to_string()));
            }
            each_is_refused(&mut opened, socket, "unknown_message", &texts).await
        })
        .await?;
    }

    async fn a_message_of_the_wrong_shape_is_refused_and_the_place_is_named(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let wanted = code(socket, "invalid_message");
            for (message, path) in misshapen(socket) {
                opened.send(&message).await?;
                let error = opened.until("error").await.with_context(|| message.to_string())?;
                ensure!(error["code"] == wanted, "{message} was answered {error} instead of {wanted}");
                // The hub's errors have no place for it.
                let named = error.get("path").map_or("", |path| path.as_str().unwrap_or("no text"));
                ensure!(socket.name == "hub" || named == path, "{message} is wrong at {path:?}, not at {named:?}");
            }
            is_served(&mut opened, socket).await
        })
        .await?;
    }

    /// Unknown fields are a newer client's.
    async fn what_is_unusual_is_taken(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let (question, answer) = super::question(socket);
            let text = question.to_string();
            for text in [
                text.replacen('{', "{\"surprise\":{\"x\":[1,null]},", 1),
                text.replacen('{', &format!("{{\"x\":{},", nested(100)), 1),
                format!(" \r\n\t{text}\n"),
                text.replace("type", "\\u0074ype"),
            ] {
                opened.send_text(&text).await?;
                opened.until(answer).await.context(text)?;
            }
            Ok(())
        })
        .await?;
    }

    async fn one_fault_after_the_other_ends_the_socket(database) {
        each_in_words(development(database), async |server, socket| {
            let most = socket.limits.faults_in_a_row;
            let mut opened = open(server, socket).await?;
            // A message in between that is right, and all is forgotten.
            for _ in 0..2 {
                for _ in 1..most {
                    opened.send_text("nonsense").await?;
                    opened.until("error").await?;
                }
                is_served(&mut opened, socket).await?;
            }
            for _ in 0..most {
                opened.send_text("nonsense").await?;
            }
            for _ in 0..most {
                opened.until("error").await?;
            }
            opened.expect_close("too_many_faults").await
        })
        .await?;
    }
}
