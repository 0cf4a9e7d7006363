//! Sockets: how they are opened, what is written and read on them, and where a client goes on.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::generated::sockets::CloseCode;
use crate::generated::sockets::r#loop::{LoopClientMessage, LoopProtocol};
use crate::generated::sockets::rooms::{RoomsClientMessage, RoomsParameters, RoomsProtocol, RoomsServerMessage};
use crate::generated::sockets::shell::{ShellClientMessage, ShellProtocol, ShellServerMessage};
use crate::generated::sockets::tail::{TailClientMessage, TailParameters, TailProtocol, TailServerMessage};
use crate::generated::types::{
    Color, Ping, RoomBeat, RoomLogin, RoomMove, RoomNote, RoomSubscribe, RoomUnsubscribe, Shape, TailFollow,
};
use crate::runtime::{
    Field, Intent, Position, Progress, Reconnect, Secret, Security, SocketCloseCode, SocketProtocol, WithoutPosition,
};

fn read(text: &str) -> RoomsServerMessage {
    RoomsProtocol::decode(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn tail(text: &str) -> TailServerMessage {
    TailProtocol::decode(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn at(seq: u64, epoch: Option<&str>) -> Position {
    Position { seq, epoch: epoch.map(str::to_owned) }
}

#[test]
fn a_socket_is_opened_with_its_parameters() {
    let client = Client::default();
    let least = RoomsParameters::new(Uuid::from_u128(7), Color::Self_, vec![1, -2]);
    let builder = client.sockets().rooms(&least);
    assert_eq!((builder.info().name, builder.info().address), ("rooms", "/v1/rooms"));
    let expected = [("id", "00000000-0000-0000-0000-000000000007"), ("type", "self"), ("must", "1"), ("must", "-2")];
    assert_eq!(builder.query, expected.map(|(name, value)| (name, value.to_owned())));

    let full = least.with_text("t").with_colors(vec![Color::Red, Color::_1d]).with_limit(9).with_token("hush");
    let query = client.sockets().rooms(&full).query;
    let expected = [("text", "t"), ("colors", "red"), ("colors", "1d"), ("limit", "9"), ("token", "hush")];
    assert_eq!(query[4..], expected.map(|(name, value)| (name, value.to_owned())));
    let shown = format!("{full:?}");
    assert!(shown.contains("[redacted]") && !shown.contains("hush"), "{shown}");

    assert!(client.sockets().tail(&TailParameters::default()).query.is_empty());
    assert_eq!(client.sockets().r#loop().info().address, "/v1/loop");
}

#[test]
fn what_the_protocol_says_is_there() {
    let info = RoomsProtocol::INFO;
    let expected = [Security::Scheme("token"), Security::All(&["key", "token"]), Security::All(&[])];
    assert_eq!(info.security, expected);
    let limits = info.limits;
    assert_eq!((limits.max_message_bytes, limits.subscriptions), (65_536, 1000));
    assert_eq!((limits.heartbeat.as_secs(), limits.silence.as_secs()), (20, 60));
    assert!(LoopProtocol::INFO.security.is_empty());

    for (code, row, name, reconnect) in [
        (1000, CloseCode::Normal, "normal", Reconnect::Never),
        (1001, CloseCode::GoingAway, "going_away", Reconnect::Resume),
        (4000, CloseCode::Self_, "self", Reconnect::Fresh),
    ] {
        assert_eq!(CloseCode::from_code(code), Some(row));
        assert_eq!((row.code(), row.as_str(), row.reconnect()), (code, name, reconnect));
    }
    assert_eq!(CloseCode::from_code(4001), None);
    assert_eq!((CloseCode::Normal.message(), CloseCode::GoingAway.action()), ("Goodbye */ <b>.", "Come \"back\"."));
    assert_eq!(CloseCode::ALL.len(), 3);
}

#[test]
fn raw_data_is_a_message_without_json() {
    let data = Bytes::from_static(b"\xff");
    let typed: ShellClientMessage = data.clone().into();
    assert_eq!(ShellProtocol::raw(&typed), Some(&data));
    assert_eq!(ShellProtocol::intent(&typed), Intent::Nothing);
    assert_eq!(ShellProtocol::raw(&Ping::default().into()), None);
    assert!(serde_json::to_string(&typed).is_err(), "it is no JSON");
    assert_eq!(ShellProtocol::from_raw(data.clone()), Some(ShellServerMessage::Raw(data.clone())));
    assert!(RoomsProtocol::from_raw(data).is_none());
    const { assert!(ShellProtocol::SENDS_RAW && !RoomsProtocol::SENDS_RAW) };

    let read = |text: &str| ShellProtocol::decode(text).map_err(|error| error.to_string());
    for text in ["", "$ ls", "{", "[{}]", "1"] {
        assert_eq!(read(text), Ok(ShellServerMessage::Raw(Bytes::from(text.to_owned()))), "{text}");
    }
    assert!(matches!(read(r#"{"@type":"ping"}"#), Ok(ShellServerMessage::Ping(_))));
    assert!(matches!(read(r#"{"@type":"new"}"#), Ok(ShellServerMessage::Unknown(_))));
    assert!(read(r#"{"@type":"gap"}"#).is_err());
}

#[test]
fn messages_are_written_with_their_tag_first() {
    let circle: Shape = serde_json::from_value(json!({ "kind": "circle", "radius": 1.0 })).expect("it is a circle");
    let bare = RoomMove::new(circle, Value::Null);
    for (message, expected) in [
        (RoomSubscribe::new("a").into(), r#"{"@type":"subscribe","room":"a"}"#),
        (
            RoomSubscribe::new("a").with_since_seq(0).with_epoch("e").into(),
            r#"{"@type":"subscribe","room":"a","since_seq":0,"epoch":"e"}"#,
        ),
        (RoomUnsubscribe::new("a").into(), r#"{"@type":"unsubscribe","room":"a"}"#),
        (RoomLogin::new("hush").into(), r#"{"@type":"log in","token":"hush"}"#),
        (bare.clone().into(), r#"{"@type":"move","to":{"kind":"circle","radius":1.0},"data":null}"#),
        (
            bare.with_more(Field::Null).with_id("i").into(),
            r#"{"@type":"move","to":{"kind":"circle","radius":1.0},"data":null,"more":null,"id":"i"}"#,
        ),
        (RoomsClientMessage::Heartbeat(RoomBeat::default()), r#"{"@type":"heartbeat"}"#),
        (RoomNote::new("n").into(), r#"{"note":"n"}"#),
        (Ping::default().into(), r#"{"@type":"ping"}"#),
    ] {
        let message: RoomsClientMessage = message;
        assert_eq!(serde_json::to_string(&message).expect("it can be written"), expected);
        assert!(!format!("{message:?}").contains("hush"));
    }
    let ping = LoopClientMessage::from(Ping::default().with_id("1"));
    assert_eq!(serde_json::to_string(&ping).expect("it can be written"), r#"{"@type":"ping","id":"1"}"#);
    let null = TailClientMessage::from(TailFollow::default().with_since_seq(Field::Null));
    assert_eq!(serde_json::to_string(&null).expect("it can be written"), r#"{"@type":"follow","since_seq":null}"#);
}

#[test]
fn every_message_of_the_server_is_read() {
    for (text, tag) in [
        (r#"{"@type":"hello","epoch":"e"}"#, Some("hello")),
        (r#"{"room":"a","event":{"seq":1,"new":[]},"@type":"event"}"#, Some("event")),
        (r#"{"@type":"events","room":"a","events":[{"seq":1},{"seq":2,"text":"t"}]}"#, Some("events")),
        (r#"{"@type":"synced","room":"a","seq":0}"#, Some("synced")),
        (r#"{"@type":"gap","room":"a","next_seq":5}"#, Some("gap")),
        (r#"{"@type":"ping","id":"1","new_in_version_9":{}}"#, Some("ping")),
        (r#"{"room":"a","changed":"c"}"#, None),
        (r#"{"error":"e"}"#, None),
    ] {
        let message = read(text);
        assert!(!matches!(message, RoomsServerMessage::Unknown(_)), "{text}");
        assert_eq!(message.tag(), tag);
    }
    let RoomsServerMessage::Unknown_(fault) = read(r#"{"error":"e","path":"/a"}"#) else {
        panic!("it is recognised by its error");
    };
    assert_eq!((fault.error.as_str(), fault.path.as_deref()), ("e", Some("/a")));
}

#[test]
fn what_this_version_does_not_know_is_kept() {
    for (text, tag) in [
        (r#"{"@type":"new","changed":"c","room":"a"}"#, Some("new")),
        (r#"{"@type":"subscribe","room":"a"}"#, Some("subscribe")),
        (r#"{"new":true}"#, None),
        ("{}", None),
    ] {
        let message = read(text);
        assert_eq!(message.tag(), tag);
        let RoomsServerMessage::Unknown(unknown) = message else { panic!("it is not known: {text}") };
        let whole: Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(Value::Object(unknown.object().clone()), whole);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"@type":5}"#,
        r#"{"@type":"hello"}"#,
        r#"{"@type":"synced","room":"a","seq":-1}"#,
        r#"{"@type":"events","room":"a","events":[{"seq":"1"}]}"#,
        r#"{"changed":"c"}"#,
    ] {
        assert!(RoomsProtocol::decode(text).is_err(), "{text}");
    }
    let error = RoomsProtocol::decode(r#"{"@type":"hello","epoch":["hush"]}"#).expect_err("it is not a text");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[test]
fn intents_are_told_apart() {
    let fresh = RoomSubscribe::new("a").into();
    assert_eq!(RoomsProtocol::intent(&fresh), Intent::Subscribe { key: Some("a"), after: None, epoch: None });
    let later = RoomSubscribe::new("a").with_since_seq(7).with_epoch("e").into();
    let expected = Intent::Subscribe { key: Some("a"), after: Some(7), epoch: Some("e") };
    assert_eq!(RoomsProtocol::intent(&later), expected);
    let leave = RoomUnsubscribe::new("a").into();
    assert_eq!(RoomsProtocol::intent(&leave), Intent::Unsubscribe { key: Some("a") });
    assert_eq!(RoomsProtocol::intent(&RoomLogin::new("hush").into()), Intent::Authenticate);
    assert_eq!(RoomsProtocol::intent(&Ping::default().into()), Intent::Nothing);

    assert_eq!(RoomsProtocol::WITHOUT_POSITION, WithoutPosition::Now);
    assert_eq!(TailProtocol::WITHOUT_POSITION, WithoutPosition::Everything);
    for (follow, after) in [
        (TailFollow::default(), None),
        (TailFollow::default().with_since_seq(Field::Null), None),
        (TailFollow::default().with_since_seq(3), Some(3)),
    ] {
        assert_eq!(TailProtocol::intent(&follow.into()), Intent::Subscribe { key: None, after, epoch: None });
    }
    assert_eq!(LoopProtocol::intent(&Ping::default().into()), Intent::Nothing);
}

#[test]
fn a_subscription_goes_on_from_a_position() {
    let mut message = RoomSubscribe::new("a").with_since_seq(1).with_epoch("old").into();
    RoomsProtocol::resume_after(&mut message, &at(7, Some("new")));
    assert_eq!(message, RoomSubscribe::new("a").with_since_seq(7).with_epoch("new").into());
    RoomsProtocol::resume_after(&mut message, &at(8, None));
    assert_eq!(message, RoomSubscribe::new("a").with_since_seq(8).into());

    let mut other = RoomsClientMessage::from(RoomUnsubscribe::new("a"));
    RoomsProtocol::resume_after(&mut other, &at(7, None));
    assert_eq!(other, RoomUnsubscribe::new("a").into());

    let mut follow = TailFollow::default().into();
    TailProtocol::resume_after(&mut follow, &at(7, Some("new")));
    assert_eq!(follow, TailFollow::default().with_since_seq(7).into());
}

#[test]
fn messages_of_the_server_move_a_position() {
    let key = Some("a");
    for (text, expected) in [
        (r#"{"@type":"event","room":"a","event":{"seq":4}}"#, Progress::Events { key, first: 4, last: 4 }),
        (
            r#"{"@type":"events","room":"a","events":[{"seq":4},{"seq":5},{"seq":6}]}"#,
            Progress::Events { key, first: 4, last: 6 },
        ),
        (r#"{"@type":"events","room":"a","events":[]}"#, Progress::Nothing),
        (r#"{"room":"a","changed":"c","seq":4}"#, Progress::Events { key, first: 4, last: 4 }),
        (r#"{"room":"a","changed":"c"}"#, Progress::Nothing),
        (r#"{"@type":"synced","room":"a","seq":0}"#, Progress::Synced { key, seq: 0 }),
        (r#"{"@type":"gap","room":"a","next_seq":9}"#, Progress::Gap { key, next: 9 }),
        (r#"{"@type":"hello","epoch":"e"}"#, Progress::Nothing),
        (r#"{"@type":"new","room":"a","seq":4}"#, Progress::Nothing),
    ] {
        assert_eq!(RoomsProtocol::progress(&read(text)), expected, "{text}");
    }
    let page = tail(r#"{"@type":"events","page":{"items":[{},{"seq":2},{"seq":null},{"seq":4}]}}"#);
    assert_eq!(TailProtocol::progress(&page), Progress::Events { key: None, first: 2, last: 4 });
    assert_eq!(TailProtocol::progress(&tail(r#"{"@type":"events","page":{"items":[{}]}}"#)), Progress::Nothing);

    assert_eq!(RoomsProtocol::epoch(&read(r#"{"@type":"hello","epoch":"e"}"#)), Some("e"));
    assert_eq!(RoomsProtocol::epoch(&read(r#"{"@type":"ping"}"#)), None);
}

#[test]
fn what_the_caller_has_is_taken_out() {
    let mut message = read(r#"{"@type":"events","room":"a","events":[{"seq":4},{"seq":5},{"seq":6}]}"#);
    RoomsProtocol::discard(&mut message, 5);
    assert_eq!(RoomsProtocol::progress(&message), Progress::Events { key: Some("a"), first: 6, last: 6 });
    let mut single = read(r#"{"@type":"event","room":"a","event":{"seq":4}}"#);
    RoomsProtocol::discard(&mut single, 9);
    assert_eq!(single, read(r#"{"@type":"event","room":"a","event":{"seq":4}}"#));
    let mut page = tail(r#"{"@type":"events","page":{"items":[{},{"seq":2},{"seq":4}]}}"#);
    TailProtocol::discard(&mut page, 2);
    assert_eq!(page, tail(r#"{"@type":"events","page":{"items":[{},{"seq":4}]}}"#));
}

#[test]
fn a_token_is_shown_where_a_message_takes_one() {
    let token = Secret::from("hush");
    assert_eq!(RoomsProtocol::authenticate(&token), Some(RoomLogin::new("hush").into()));
    assert_eq!(TailProtocol::authenticate(&token), None);
}
