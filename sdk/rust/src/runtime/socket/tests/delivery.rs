//! Which events a caller gets: each once and in order, or it is told that some are missing.

use std::time::Duration;

use super::bench::{Bench, settings};
use super::chat::{Client, Known, QuietChat, events, follow, gap, json, synced};
use crate::runtime::SocketState;
use crate::runtime::socket::machine::Command;

fn following(since: impl Into<Option<u64>>) -> Bench {
    let mut bench = Bench::new().open();
    bench.sends(follow("a", since));
    bench.written();
    bench.commands();
    bench
}

fn hears(bench: &mut Bench, messages: &[Known]) -> Vec<String> {
    for message in messages {
        bench.hears(message);
    }
    bench.told().into_iter().filter(|told| told != "connected" && told != "hello").collect()
}

#[test]
fn what_the_caller_has_is_left_out() {
    let mut bench = following(0);
    let told = hears(
        &mut bench,
        &[
            events("a", 1..=3),
            events("a", 1..=3),
            events("a", [3]),
            events("a", 2..=5),
            events("a", [5]),
            events("a", [6]),
        ],
    );
    assert_eq!(told, ["a[1, 2, 3]", "a[4, 5]", "a[6]"]);
}

#[test]
fn rooms_do_not_mix() {
    let mut bench = following(0);
    bench.sends(follow("b", 10));
    bench.written();
    let told = hears(&mut bench, &[events("a", [1]), events("b", [11]), events("a", [2]), events("b", [12])]);
    assert_eq!(told, ["a[1]", "b[11]", "a[2]", "b[12]"]);
}

#[test]
fn a_jump_is_answered_by_resuming() {
    let mut bench = following(0);
    assert_eq!(
        hears(&mut bench, &[events("a", [1]), events("a", [3])]),
        ["a[1]", "disconnected: event 3 of \"a\" came after event 1, and what lies between did not"]
    );
    assert_eq!(bench.commands(), [Command::Disconnect { code: Some(1002) }]);
    bench.reopen();
    assert_eq!(bench.written().len(), 1);
    assert_eq!(hears(&mut bench, &[events("a", 2..=3), events("a", [4])]), ["resumed", "a[2, 3]", "a[4]"]);
}

#[test]
fn a_server_that_insists_on_a_jump_is_believed() {
    let mut bench = following(0);
    hears(&mut bench, &[events("a", [1]), events("a", [3])]);
    bench.reopen();
    bench.written();
    // At first it may be an event of what was followed before.
    assert_eq!(hears(&mut bench, &[events("a", [3])]), ["resumed"]);
    bench.now += Duration::from_secs(10);
    assert_eq!(hears(&mut bench, &[events("a", [4]), events("a", [5])]), ["resync a", "a[4]", "a[5]"]);
    assert_eq!(bench.machine.state(), SocketState::Open);
}

#[test]
fn the_end_of_history_without_the_history_is_a_jump() {
    let mut bench = following(5);
    assert_eq!(
        hears(&mut bench, &[synced("a", 7)]),
        ["disconnected: event 7 of \"a\" came after event 5, and what lies between did not"]
    );
    bench.reopen();
    bench.written();
    assert_eq!(hears(&mut bench, &[synced("a", 7), events("a", [8])]), ["resumed", "resync a", "a synced 7", "a[8]"]);
}

#[test]
fn the_end_of_history_is_handed_out() {
    let mut bench = following(0);
    let told = hears(&mut bench, &[events("a", 1..=2), synced("a", 2), events("a", [3]), synced("a", 2)]);
    assert_eq!(told, ["a[1, 2]", "a synced 2", "a[3]", "a synced 2"]);
}

#[test]
fn a_gap_moves_on() {
    let mut bench = following(3);
    let told = hears(&mut bench, &[gap("a", 100), events("a", 100..=101), events("a", [100]), events("a", [102])]);
    assert_eq!(told, ["a gap 100", "resync a", "a[100, 101]", "a[102]"]);
}

#[test]
fn a_gap_moves_back_where_the_log_began_anew() {
    let mut bench = following(1000);
    assert_eq!(hears(&mut bench, &[gap("a", 1), events("a", 1..=2)]), ["a gap 1", "resync a", "a[1, 2]"]);
}

#[test]
fn without_a_position_everything_is_handed_out_until_there_is_one() {
    let mut bench = following(None);
    let told =
        hears(&mut bench, &[events("a", [7]), events("a", [3]), synced("a", 9), events("a", [9]), events("a", [10])]);
    assert_eq!(told, ["a[7]", "a[3]", "a synced 9", "a[10]"]);
}

#[test]
fn events_that_nobody_asked_for_are_handed_out() {
    let mut bench = following(0);
    let told = hears(&mut bench, &[events("b", [7]), events("b", [3]), events("b", []), gap("c", 3)]);
    assert_eq!(told, ["b[7]", "b[3]", "b[]", "c gap 3", "resync c"]);
}

#[test]
fn following_anew_begins_at_the_new_position() {
    let mut bench = following(0);
    assert_eq!(hears(&mut bench, &[events("a", 1..=10), synced("a", 10)]).len(), 2);
    bench.sends(follow("a", 4));
    bench.written();
    let told = hears(
        &mut bench,
        &[
            // Of the first time; it comes again.
            events("a", [11]),
            synced("a", 11),
            events("a", 5..=11),
            synced("a", 11),
            events("a", [12]),
        ],
    );
    assert_eq!(told, ["a[5, 6, 7, 8, 9, 10, 11]", "a synced 11", "a[12]"]);
}

#[test]
fn following_anew_where_it_is_loses_and_repeats_nothing() {
    let mut bench = following(0);
    hears(&mut bench, &[events("a", 1..=10), synced("a", 10)]);
    bench.sends(follow("a", 10));
    bench.written();
    let told = hears(&mut bench, &[events("a", [11]), events("a", 11..=12), synced("a", 12), events("a", [13])]);
    assert_eq!(told, ["a[11]", "a[12]", "a synced 12", "a[13]"]);
}

#[test]
fn live_events_before_the_history_wait_for_it() {
    let mut bench = following(0);
    hears(&mut bench, &[events("a", 1..=3)]);
    bench.breaks();
    bench.reopen();
    bench.told();
    let told = hears(&mut bench, &[events("a", [6]), events("a", 4..=6), events("a", [7])]);
    assert_eq!(told, ["a[4, 5, 6]", "a[7]"], "a server that sends without being asked did so before it was");
}

#[test]
fn a_room_that_was_left_is_handed_out_and_forgotten() {
    let mut bench = following(0);
    hears(&mut bench, &[events("a", 1..=3)]);
    bench.sends(Client::Leave { room: "a".to_owned() });
    bench.written();
    assert_eq!(
        hears(&mut bench, &[events("a", [4]), synced("a", 9), events("a", [9])]),
        ["a[4]", "a synced 9", "a[9]"]
    );
    bench.sends(follow("a", 3));
    bench.written();
    assert_eq!(hears(&mut bench, &[events("a", [10]), events("a", [4])]), ["a[4]"]);
}

#[test]
fn everything_without_a_position_is_from_the_beginning() {
    let mut bench: Bench<QuietChat> = Bench::with(settings(), 1).open();
    bench.sends(follow("a", None));
    bench.written();
    bench.breaks();
    bench.reopen();
    assert_eq!(bench.written(), [json(&follow("a", 0))]);
    bench.hears(&events("a", [2]));
    bench.hears(&events("a", 1..=2));
    assert_eq!(bench.told()[1..], ["resumed", "hello", "a[1, 2]"]);
}
