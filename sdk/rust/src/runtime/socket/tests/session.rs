//! How a session goes on: what a new connection is told first, when it comes, and when the old one counts as dead.

use std::time::Duration;

use super::bench::{Bench, credential, keep_alive, settings, texts, unreachable};
use super::chat::{Chat, Client, HEARTBEAT, events, follow, gap, hello, json, login, note, say, synced};
use crate::runtime::socket::machine::{Command, Input};
use crate::runtime::socket::settings::Settings;
use crate::runtime::{ReconnectPolicy, SocketFrame, SocketState, Update};

fn from(room: &str, since: u64) -> Client {
    Client::Follow { room: room.to_owned(), since: Some(since), epoch: Some("e1".to_owned()) }
}

#[test]
fn a_new_connection_goes_on_before_anything_else_is_said() {
    let mut bench = Bench::new();
    for message in [follow("a", 0), login("old"), follow("b", 7), login("new")] {
        bench.sends(message);
    }
    bench = bench.open();
    assert_eq!(bench.written(), texts(&[&login("old"), &login("new"), &follow("a", 0), &follow("b", 7)]));
    bench.hears(&events("a", 1..=3));
    bench.hears(&events("a", [4]));

    bench.sends(say("while there is no connection"));
    bench.breaks();
    bench.sends(say("and then"));
    bench.reopen();
    assert_eq!(
        bench.written(),
        texts(&[&login("new"), &from("a", 4), &follow("b", 7), &say("while there is no connection"), &say("and then")])
    );
    bench.hears(&events("a", [5]));
    let told = bench.told();
    assert_eq!(told[..2], ["a[1, 2, 3]", "a[4]"]);
    assert_eq!(told[3..], ["resumed", "hello", "a[5]"]);
}

#[test]
fn a_credential_that_waits_replaces_the_one_from_before() {
    let mut bench = Bench::new();
    bench.sends(login("old"));
    bench.sends(follow("a", 0));
    bench = bench.open();
    bench.written();
    bench.breaks();
    bench.sends(say("hi"));
    bench.sends(login("new"));
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&login("new"), &follow("a", 0), &say("hi")]));
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&login("new"), &follow("a", 0)]));
}

#[test]
fn a_credential_from_a_provider_is_the_only_one() {
    let mut bench = Bench::<Chat>::with(Settings { remember_credential: false, ..settings() }, 1).open();
    bench.sends(login("by hand"));
    assert_eq!(bench.written(), texts(&[&login("by hand")]));
    bench.breaks();
    bench.wake();
    bench.commands();
    let generation = bench.generation;
    bench.input(Input::Opened { generation, credential: credential("provided") });
    bench.hears(&hello());
    assert_eq!(bench.written(), ["provided"]);
}

#[test]
fn after_an_expired_credential_the_session_is_a_new_one() {
    let mut bench = Bench::new().open();
    bench.sends(login("old"));
    bench.sends(follow("a", 0));
    bench.written();
    bench.hears(&events("a", [1]));
    bench.closed_with(4002);
    bench.reopen();
    assert_eq!(bench.written(), [""; 0], "the old credential is not shown again, and without one nothing is given");
    assert!(!bench.machine.has_frame());
    assert_eq!(bench.told()[2..], ["connected", "hello"]);
    bench.sends(say("hi"));
    bench.sends(login("new"));
    assert_eq!(bench.written(), texts(&[&say("hi"), &login("new"), &from("a", 1)]), "the position holds");
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&login("new"), &from("a", 1)]));
}

#[test]
fn subscriptions_wait_for_a_credential_over_several_connections() {
    let mut bench = Bench::new().open();
    bench.sends(login("old"));
    bench.sends(follow("a", 0));
    bench.sends(follow("live", None));
    bench.written();
    bench.closed_with(4002);
    bench.reopen();
    bench.closed_with(4002);
    bench.reopen();
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), [""; 0]);
    bench.told();
    bench.sends(login("new"));
    assert_eq!(bench.written(), texts(&[&login("new"), &follow("a", 0), &follow("live", None)]));
    assert_eq!(bench.told(), ["resync live"], "what happened since the connection stood is missing too");
}

#[test]
fn what_the_caller_says_while_subscriptions_wait_is_not_undone() {
    let mut bench = Bench::new().open();
    bench.sends(login("old"));
    for room in ["a", "b", "c"] {
        bench.sends(follow(room, 0));
    }
    bench.written();
    bench.hears(&events("a", 1..=9));
    bench.closed_with(4002);
    bench.reopen();
    let leave = Client::Leave { room: "b".to_owned() };
    bench.sends(follow("a", 4));
    bench.sends(leave.clone());
    assert_eq!(bench.written(), texts(&[&follow("a", 4), &leave]));
    bench.sends(login("new"));
    assert_eq!(bench.written(), texts(&[&login("new"), &follow("c", 0)]));
}

#[test]
fn subscriptions_do_not_wait_where_no_message_of_the_caller_shows_the_credential() {
    for (remember_credential, shown) in [(true, None), (false, Some(login("by hand")))] {
        let mut bench = Bench::<Chat>::with(Settings { remember_credential, ..settings() }, 1).open();
        bench.machine.enqueue(shown.unwrap_or_else(|| say("hi"))).expect("there is room");
        bench.sends(follow("a", 0));
        bench.written();
        bench.closed_with(4002);
        bench.reopen();
        assert_eq!(bench.written(), texts(&[&follow("a", 0)]));
    }
}

#[test]
fn subscriptions_do_not_wait_where_the_connection_comes_with_a_credential() {
    let mut bench = Bench::new().open();
    bench.sends(login("old"));
    bench.sends(follow("a", 0));
    bench.written();
    bench.closed_with(4002);
    bench.wake();
    bench.commands();
    let generation = bench.generation;
    bench.input(Input::Opened { generation, credential: credential("given") });
    bench.hears(&hello());
    assert_eq!(bench.written(), ["given".to_owned(), json(&follow("a", 0))]);
}

#[test]
fn what_was_left_stays_left() {
    let mut bench = Bench::new().open();
    bench.sends(follow("a", 0));
    bench.sends(Client::Leave { room: "a".to_owned() });
    bench.sends(Client::Leave { room: "lobby".to_owned() });
    bench.written();
    bench.hears(&events("a", [1]));
    bench.hears(&events("lobby", [8]));
    bench.breaks();
    bench.reopen();
    assert_eq!(
        bench.written(),
        texts(&[&Client::Leave { room: "lobby".to_owned() }]),
        "a room that the server would enter by itself is left again, the other not even entered"
    );
    assert_eq!(bench.told().iter().filter(|told| told.starts_with("resync")).count(), 0);
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let mut bench = Bench::new().open();
    bench.sends(follow("live", None));
    bench.written();
    bench.hears(&events("lobby", [8]));
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&follow("live", None)]), "no position is known");
    assert_eq!(bench.told()[2..], ["resumed", "resync live", "resync lobby", "hello"]);

    bench.hears(&synced("live", 5));
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&from("live", 5)]), "now one is");
    assert_eq!(bench.told()[2..], ["resumed", "hello"]);
}

#[test]
fn more_rooms_than_are_remembered_are_told_of_together() {
    let mut bench = Bench::new().open();
    for room in 0..12 {
        bench.hears(&events(&format!("room{room:02}"), [1]));
    }
    bench.breaks();
    bench.reopen();
    let told = bench.told();
    assert_eq!(told[13..16], ["resumed", "resync -", "resync room00"]);
    assert_eq!(told.len(), 14 + 1 + 10 + 1);
}

#[test]
fn what_was_left_makes_room_for_what_is_followed() {
    let mut bench = Bench::new().open();
    for number in 0..100 {
        let room = format!("room{number:02}");
        bench.sends(follow(&room, 0));
        if number < 95 {
            bench.sends(Client::Leave { room });
        }
        bench.written();
    }
    bench.breaks();
    bench.reopen();
    let followed: Vec<_> = (95..100).map(|number| json(&follow(&format!("room{number}"), 0))).collect();
    assert_eq!(bench.written(), followed);
    assert_eq!(bench.told()[1..], ["resumed", "hello"], "nothing is missing");
}

#[test]
fn what_nobody_asked_for_makes_room_for_what_is_followed() {
    let mut bench = Bench::new().open();
    bench.sends(Client::Leave { room: "lobby".to_owned() });
    bench.written();
    for room in 0..9 {
        bench.hears(&events(&format!("room{room}"), [1]));
    }
    bench.sends(follow("a", 0));
    bench.sends(follow("b", 0));
    bench.written();
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), texts(&[&follow("a", 0), &follow("b", 0)]));
    let told = bench.told();
    let resyncs: Vec<_> = told.iter().filter(|told| told.starts_with("resync")).collect();
    assert_eq!(resyncs.len(), 1 + 8, "{told:?}");
    assert_eq!(resyncs[0], "resync -", "of the one that was forgotten");
}

#[test]
fn more_than_may_be_followed_is_told_of() {
    let mut bench = Bench::new().open();
    for number in 0..11 {
        bench.sends(follow(&format!("room{number:02}"), 0));
    }
    bench.written();
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written().len(), 10);
    assert_eq!(bench.told()[1..], ["resumed", "resync -", "hello"]);
}

#[test]
fn frames_do_not_show_what_they_say() {
    let frame = SocketFrame::Text(json(&login("geheim")).into());
    let input = Input::Frame { generation: 1, frame: frame.clone() };
    assert_eq!(format!("{frame:?}"), "Text(33 bytes)");
    assert!(!format!("{input:?}").contains("geheim"));
    let close = SocketFrame::Close { code: 1000, reason: "bye".to_owned() };
    assert_eq!(format!("{close:?}"), "Close(1000, 3 bytes)");
}

#[test]
fn waits_grow_are_random_and_have_a_cap() {
    let mut longest = [Duration::ZERO; 8];
    let mut shortest = [Duration::MAX; 8];
    for seed in 0..300 {
        let mut bench = Bench::<Chat>::with(settings(), seed);
        bench.input(Input::Start);
        for attempt in 0..8 {
            bench.commands();
            bench.fails(unreachable());
            let [Update::Disconnected { retry_in, .. }] = bench.updates()[..] else { panic!("told of each failure") };
            longest[attempt] = longest[attempt].max(retry_in);
            shortest[attempt] = shortest[attempt].min(retry_in);
            assert_eq!(bench.machine.wake_at(), Some(bench.now + retry_in));
            bench.wake();
        }
    }
    for (attempt, bound) in [1, 2, 4, 8, 16, 30, 30, 30].into_iter().enumerate() {
        let bound = Duration::from_secs(bound);
        assert!(longest[attempt] <= bound, "{attempt}: {:?}", longest[attempt]);
        assert!(longest[attempt] > bound * 9 / 10, "{attempt}: {:?}", longest[attempt]);
        assert!(shortest[attempt] < bound / 10, "{attempt}: {:?}", shortest[attempt]);
    }
}

fn waits_after(open_for: Duration, rounds: usize) -> Vec<Duration> {
    let mut bench = Bench::<Chat>::with(settings(), 3).open();
    let mut waits = Vec::new();
    for _ in 0..rounds {
        bench.now += open_for;
        bench.breaks();
        let updates = bench.updates();
        let Some(Update::Disconnected { retry_in, .. }) = updates.last() else { panic!("{updates:?}") };
        waits.push(*retry_in);
        bench.reopen();
    }
    waits
}

#[test]
fn only_a_connection_that_lasts_makes_waits_short_again() {
    let second = Duration::from_secs(1);
    assert!(waits_after(9 * second, 40).iter().any(|wait| *wait > 10 * second));
    assert!(waits_after(10 * second, 40).iter().all(|wait| *wait <= second));
}

#[test]
fn a_server_that_asks_for_time_gets_it_within_bounds() {
    for (asked, most, least) in [(7, 8, 7), (3600, 60, 60)] {
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from(asked));
        let response = crate::runtime::RawResponse { status: 503, headers, body: bytes::Bytes::new() };
        let refusal = crate::runtime::refusal::read(response, crate::Timestamp::default());
        let mut bench = Bench::new();
        bench.input(Input::Start);
        bench.commands();
        bench.fails(crate::Error::Api(Box::new(refusal)));
        let [Update::Disconnected { retry_in, .. }] = bench.updates()[..] else { panic!("worth another attempt") };
        assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&retry_in), "{retry_in:?}");
    }
}

#[test]
fn attempts_can_be_limited() {
    let policy = ReconnectPolicy::default().attempts(2);
    let mut bench = Bench::<Chat>::with(Settings { reconnect: policy, ..settings() }, 1);
    bench.input(Input::Start);
    for _ in 0..2 {
        bench.commands();
        bench.fails(unreachable());
        assert_eq!(bench.machine.state(), SocketState::Waiting);
        bench.wake();
    }
    bench.commands();
    bench.fails(unreachable());
    assert_eq!(bench.machine.state(), SocketState::Closed);
}

#[test]
fn of_failures_that_nobody_has_read_the_last_is_told() {
    let mut bench = Bench::new();
    bench.input(Input::Start);
    for _ in 0..50 {
        bench.commands();
        bench.fails(unreachable());
        bench.wake();
    }
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn frames_that_cannot_be_read_end_the_session_unless_it_gets_on() {
    let mut bench = Bench::new().open();
    bench.sends(follow("a", 0));
    bench.written();
    for seq in 1..=10 {
        bench.hears(&events("a", [seq]));
        bench.hears_text("nonsense");
        assert_eq!(bench.machine.state(), SocketState::Waiting, "{seq}");
        bench.reopen();
        bench.written();
    }
    bench.hears(&events("a", [11]));
    for _ in 0..3 {
        bench.hears_text(r#"{"type":"note"}"#);
        assert_eq!(bench.machine.state(), SocketState::Waiting);
        bench.reopen();
    }
    bench.commands();
    bench.hears_text(r#"{"type":"note"}"#);
    assert_eq!(bench.commands(), [Command::Disconnect { code: Some(1007) }]);
    let told = bench.told();
    let last = told.last().expect("it is told");
    assert!(last.starts_with("closed: the server said something that is not what the protocol says"), "{last}");
    assert!(last.contains("missing field `text`"), "{last}");
}

#[test]
fn a_message_that_is_not_known_is_handed_out() {
    let mut bench = Bench::new().open();
    bench.hears_text(r#"{"type":"parade","elephants":3}"#);
    bench.hears_text(r#"{"untagged":true}"#);
    assert_eq!(bench.told(), [r#"unknown Some("parade")"#, "unknown None"]);
    assert_eq!(bench.machine.state(), SocketState::Open);
}

#[test]
fn signs_of_life_are_given_and_wanted() {
    let mut bench = Bench::new().open();
    let opened = bench.now;
    bench.wake();
    let first = bench.now - opened;
    assert!(first >= HEARTBEAT / 2 && first <= HEARTBEAT, "{first:?}");
    assert_eq!(bench.written(), ["ping"]);
    bench.hears_frame(SocketFrame::Pong(bytes::Bytes::new()));
    let heard = bench.now;
    bench.wake();
    assert_eq!(bench.now, heard + HEARTBEAT);
    assert_eq!(bench.written(), ["ping"]);
    bench.wake();
    bench.wake();
    assert_eq!(bench.now, heard + HEARTBEAT * 5 / 2);
    assert_eq!(bench.told(), ["disconnected: nothing came for 50s, not even a sign of life; the connection is dead"]);
}

#[test]
fn the_first_pings_of_many_connections_are_spread() {
    let times: std::collections::BTreeSet<_> =
        (0..50).map(|seed| Bench::<Chat>::with(settings(), seed).open().machine.wake_at()).collect();
    assert!(times.len() > 40);
}

#[test]
fn what_keeps_it_alive_is_sent_while_it_is_open() {
    let beat = say("I live");
    let mut bench = Bench::<Chat>::with(keep_alive(5, &beat), 1).open();
    bench.sends(say("hi"));
    bench.input(Input::Wake);
    assert_eq!(bench.written(), texts(&[&beat, &say("hi")]));
    bench.advance(Duration::from_secs(4));
    assert_eq!(bench.written(), [""; 0]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.written(), texts(&[&beat]));
    bench.advance(Duration::from_secs(5));
    bench.breaks();
    bench.reopen();
    bench.input(Input::Wake);
    assert_eq!(bench.written(), texts(&[&beat]), "once, and not once for each time that was missed");
}

#[test]
fn who_does_not_read_stops_the_network_and_nothing_grows() {
    let mut bench = Bench::new().open();
    bench.sends(follow("a", 0));
    bench.written();
    let mut seq = 0;
    while bench.machine.wants_frames() {
        seq += 1;
        bench.hears(&events("a", [seq]));
    }
    assert_eq!(seq, 256);

    bench.advance(Duration::from_secs(120));
    assert_eq!(bench.machine.state(), SocketState::Open, "silence is nobody's fault but the reader's");
    assert_eq!(bench.written(), ["ping"], "the server hears that somebody is there");

    bench.breaks();
    assert_eq!(bench.machine.wake_at(), None, "no new connection before somebody reads");
    bench.advance(Duration::from_secs(120));
    assert_eq!(bench.machine.state(), SocketState::Waiting);

    for _ in 0..128 {
        assert_eq!(bench.machine.state(), SocketState::Waiting);
        bench.machine.take_update();
        bench.input(Input::Wake);
    }
    bench.machine.take_update();
    bench.input(Input::Wake);
    assert_eq!(bench.machine.state(), SocketState::Connecting);
    bench.opened();
    bench.hears(&hello());
    assert_eq!(bench.written(), texts(&[&from("a", 256)]), "nothing that waits to be read is asked for again");
}

#[test]
fn large_messages_stop_the_network_earlier() {
    let mut bench = Bench::new().open();
    let large = note(&"x".repeat(300_000));
    let mut count = 0;
    while bench.machine.wants_frames() {
        count += 1;
        bench.hears(&large);
    }
    assert_eq!(count, 4);
}

#[test]
fn a_gap_at_the_very_first_subscription_is_told() {
    let mut bench = Bench::new().open();
    bench.sends(follow("a", 0));
    bench.written();
    bench.hears(&gap("a", 50));
    bench.hears(&events("a", [50, 51]));
    assert_eq!(bench.told(), ["a gap 50", "resync a", "a[50, 51]"]);
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), [json(&from("a", 51))]);
}
