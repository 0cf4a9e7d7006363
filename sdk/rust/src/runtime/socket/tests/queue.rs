//! What waits to be sent: bounded, in order, and handed back when it never was.

use super::bench::{Bench, settings};
use super::chat::{Chat, json, login, say};
use crate::runtime::socket::machine::Input;
use crate::runtime::socket::settings::Settings;
use crate::runtime::{QueueLimits, SendError, Update};

fn bench(messages: usize, bytes: usize) -> Bench {
    Bench::<Chat>::with(Settings { queue: QueueLimits { messages, bytes }, ..settings() }, 1)
}

#[test]
fn overflow_by_number_hands_back() {
    let mut bench = bench(2, 10_000);
    bench.sends(say("1"));
    bench.sends(say("2"));
    let error = bench.machine.enqueue(say("3")).expect_err("two fit");
    assert!(matches!(&error, SendError::Full(message) if *message == say("3")));

    bench = bench.open();
    assert_eq!(bench.written().len(), 2);
    bench.sends(say("3"));
}

#[test]
fn overflow_by_bytes_hands_back() {
    let length = json(&say("x")).len();
    let mut bench = bench(100, 3 * length);
    for _ in 0..3 {
        bench.sends(say("x"));
    }
    assert!(matches!(bench.machine.enqueue(say("x")), Err(SendError::Full(_))));
    bench = bench.open();
    bench.machine.take_frame(bench.now);
    bench.sends(say("x"));
    assert!(matches!(bench.machine.enqueue(say("x")), Err(SendError::Full(_))), "bytes are counted both ways");
}

#[test]
fn a_message_larger_than_the_queue_waits_alone() {
    let mut bench = bench(100, 10);
    bench.sends(say("larger than ten bytes"));
    assert!(matches!(bench.machine.enqueue(say("")), Err(SendError::Full(_))));
}

#[test]
fn a_message_larger_than_the_server_takes_is_never_sent() {
    let mut bench = Bench::new();
    let overhead = json(&say("")).len();
    bench.sends(say("x".repeat(1000 - overhead)));
    let error = bench.machine.enqueue(say("x".repeat(1001 - overhead))).expect_err("one byte too many");
    assert_eq!(error.to_string(), "the message has 1001 bytes, and the server takes 1000; send less in one message");
}

#[test]
fn what_was_not_sent_is_handed_back_in_order() {
    let mut bench = Bench::new().open();
    for text in ["1", "2", "3"] {
        bench.sends(say(text));
    }
    assert!(bench.machine.take_frame(bench.now).is_some());
    bench.closed_with(4001);
    let updates = bench.updates();
    let Some(Update::Closed { unsent, .. }) = updates.last() else { panic!("{updates:?}") };
    assert_eq!(*unsent, [say("2"), say("3")], "the first was written");
}

#[test]
fn closing_writes_the_rest_first() {
    let mut bench = Bench::new().open();
    bench.sends(say("1"));
    bench.sends(say("2"));
    bench.input(Input::Close);
    assert_eq!(bench.written(), [json(&say("1")), json(&say("2")), "close 1000".to_owned()]);
    assert!(!bench.machine.has_frame(), "goodbye is said once");
    bench.closed_with(1000);
    assert_eq!(bench.told(), ["closed: the socket was closed by this program 0"]);
}

#[test]
fn nothing_is_written_before_the_server_has_spoken() {
    let mut bench = Bench::new();
    bench.sends(say("1"));
    bench.input(Input::Start);
    assert!(!bench.machine.has_frame());
    bench.opened();
    assert!(!bench.machine.has_frame());
    assert_eq!(bench.written(), [""; 0]);
    bench.input(Input::Close);
    assert_eq!(bench.written(), ["close 1000"], "what waits comes back instead");
    bench.closed_with(1000);
    assert_eq!(bench.told(), ["closed: the socket was closed by this program 1"]);
}

#[test]
fn errors_do_not_show_the_message() {
    let mut bench = bench(1, 100);
    bench.sends(say("1"));
    let error = bench.machine.enqueue(login("hunter2")).expect_err("full");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}
