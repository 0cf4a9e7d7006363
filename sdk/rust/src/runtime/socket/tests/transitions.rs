//! The table of the machine, row by row, and that everything which is not in it changes nothing.

use std::time::Duration;

use super::bench::{Bench, CONNECT_TIMEOUT, GREETING_LIMIT, unreachable};
use super::chat::{HEARTBEAT, events, follow, hello, note, say};
use crate::Error;
use crate::runtime::socket::machine::{Command, GOODBYE, Input};
use crate::runtime::{SocketError, SocketFrame, SocketState};

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Idle,
    Connecting,
    Greeting,
    Open,
    Backoff,
    Closing,
    Closed,
}

const ALL: [From; 7] =
    [From::Idle, From::Connecting, From::Greeting, From::Open, From::Backoff, From::Closing, From::Closed];

/// A machine in this phase, that has told and asked everything so far.
fn bench(from: From) -> Bench {
    let mut bench = Bench::new();
    if from != From::Idle {
        bench.input(Input::Start);
    }
    if matches!(from, From::Greeting | From::Open | From::Closing) {
        bench.opened();
    }
    if matches!(from, From::Open | From::Closing) {
        bench.hears(&hello());
    }
    match from {
        From::Backoff => {
            bench.commands();
            bench.fails(unreachable());
        }
        From::Closing | From::Closed => bench.input(Input::Close),
        _ => {}
    }
    bench.commands();
    bench.told();
    bench
}

fn refusal(status: u16) -> Error {
    let response = crate::runtime::RawResponse { status, headers: http::HeaderMap::new(), body: bytes::Bytes::new() };
    Error::Api(Box::new(crate::runtime::refusal::read(response, crate::Timestamp::default())))
}

/// What happens.
#[derive(Debug, Clone, Copy)]
enum What {
    Start,
    Opened,
    Unreachable,
    Refused(u16),
    Message,
    Unreadable,
    Binary,
    CloseFrame(u16),
    Broken,
    TooLarge,
    Violation,
    /// Time passes, and the machine is woken.
    After(Duration),
    Close,
}

fn apply(bench: &mut Bench, what: What) {
    let generation = bench.generation;
    match what {
        What::Start => bench.input(Input::Start),
        What::Opened => bench.input(Input::Opened { generation, credential: None }),
        What::Unreachable => bench.fails(unreachable()),
        What::Refused(status) => bench.fails(refusal(status)),
        What::Message => bench.hears(&note("hi")),
        What::Unreadable => bench.hears_text("{"),
        What::Binary => bench.hears_frame(SocketFrame::Binary(vec![1].into())),
        What::CloseFrame(code) => bench.closed_with(code),
        What::Broken => bench.breaks(),
        What::TooLarge => bench.input(Input::Broken { generation, error: SocketError::TooLarge { limit: 9 } }),
        What::Violation => {
            bench.input(Input::Broken { generation, error: SocketError::Violation("masked".into()) });
        }
        What::After(time) => bench.advance(time),
        What::Close => bench.input(Input::Close),
    }
}

const SILENCE: Duration = Duration::from_secs(50);
const AN_HOUR: Duration = Duration::from_secs(3600);
const DROP: Option<u16> = None;

#[test]
fn every_row_of_the_table() {
    use SocketState::{Closed, Closing, Connecting, Open, Waiting};
    let second = Duration::from_secs(1);
    let connect = |generation| vec![Command::Connect { generation }];
    let disconnect = |code| vec![Command::Disconnect { code }];
    let rows: Vec<(From, What, SocketState, Vec<Command>, &str)> = vec![
        (From::Idle, What::Start, Connecting, connect(1), ""),
        (From::Idle, What::Close, Closed, vec![], "closed"),
        (From::Connecting, What::Opened, Connecting, vec![], ""),
        (From::Connecting, What::Unreachable, Waiting, disconnect(DROP), "disconnected"),
        (From::Connecting, What::Refused(503), Waiting, disconnect(DROP), "disconnected"),
        (From::Connecting, What::Refused(401), Closed, disconnect(DROP), "closed"),
        (From::Connecting, What::Refused(404), Closed, disconnect(DROP), "closed"),
        (From::Connecting, What::Refused(426), Closed, disconnect(DROP), "closed"),
        (From::Connecting, What::After(CONNECT_TIMEOUT - second), Connecting, vec![], ""),
        (From::Connecting, What::After(CONNECT_TIMEOUT), Waiting, disconnect(DROP), "disconnected"),
        (From::Connecting, What::Close, Closed, disconnect(DROP), "closed"),
        (From::Greeting, What::Message, Open, vec![], "connected, note hi"),
        (From::Greeting, What::Unreadable, Waiting, disconnect(Some(1007)), "disconnected"),
        (From::Greeting, What::CloseFrame(1001), Waiting, disconnect(DROP), "disconnected"),
        (From::Greeting, What::Broken, Waiting, disconnect(DROP), "disconnected"),
        (From::Greeting, What::After(GREETING_LIMIT - second), Connecting, vec![], ""),
        (From::Greeting, What::After(GREETING_LIMIT), Waiting, disconnect(DROP), "disconnected"),
        (From::Greeting, What::Close, Closing, vec![], ""),
        (From::Open, What::Message, Open, vec![], "note hi"),
        (From::Open, What::After(HEARTBEAT), Open, vec![], ""),
        (From::Open, What::After(SILENCE - second), Open, vec![], ""),
        (From::Open, What::After(SILENCE), Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::Unreadable, Waiting, disconnect(Some(1007)), "disconnected"),
        (From::Open, What::Binary, Waiting, disconnect(Some(1003)), "disconnected"),
        (From::Open, What::TooLarge, Waiting, disconnect(Some(1009)), "disconnected"),
        (From::Open, What::Violation, Waiting, disconnect(Some(1002)), "disconnected"),
        (From::Open, What::CloseFrame(1000), Closed, disconnect(DROP), "closed"),
        (From::Open, What::CloseFrame(1001), Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::CloseFrame(4001), Closed, disconnect(DROP), "closed"),
        (From::Open, What::CloseFrame(4002), Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::CloseFrame(4321), Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::CloseFrame(1005), Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::Broken, Waiting, disconnect(DROP), "disconnected"),
        (From::Open, What::Close, Closing, vec![], ""),
        (From::Backoff, What::After(Duration::ZERO), Waiting, vec![], ""),
        (From::Backoff, What::After(second), Connecting, connect(3), ""),
        (From::Backoff, What::Close, Closed, vec![], "closed"),
        (From::Closing, What::Message, Closing, vec![], ""),
        (From::Closing, What::CloseFrame(1000), Closed, disconnect(DROP), "closed"),
        (From::Closing, What::CloseFrame(1001), Closed, disconnect(DROP), "closed"),
        (From::Closing, What::Broken, Closed, disconnect(DROP), "closed"),
        (From::Closing, What::After(GOODBYE - second), Closing, vec![], ""),
        (From::Closing, What::After(GOODBYE), Closed, disconnect(DROP), "closed"),
    ];
    for (from, what, to, commands, told) in rows {
        let mut bench = bench(from);
        apply(&mut bench, what);
        let row = format!("{from:?}, {what:?}");
        assert_eq!(bench.machine.state(), to, "{row}");
        assert_eq!(bench.commands(), commands, "{row}");
        let kinds: Vec<_> =
            bench.told().iter().map(|told| told.split(": ").next().unwrap_or_default().to_owned()).collect();
        assert_eq!(kinds.join(", "), told, "{row}");
    }
}

#[test]
fn what_is_not_in_the_table_changes_nothing() {
    let rest: &[(From, &[What])] = &[
        (From::Idle, &[What::Opened, What::Unreachable, What::Message, What::Broken, What::After(AN_HOUR)]),
        (From::Connecting, &[What::Start, What::Message, What::Broken, What::CloseFrame(1001)]),
        (From::Greeting, &[What::Start, What::Opened, What::Unreachable]),
        (From::Open, &[What::Start, What::Opened, What::Unreachable, What::Refused(401)]),
        (From::Backoff, &[What::Start, What::Opened, What::Unreachable, What::Message, What::Broken]),
        (From::Closing, &[What::Start, What::Opened, What::Unreachable, What::Unreadable, What::Binary, What::Close]),
    ];
    for (from, inputs) in rest {
        for what in *inputs {
            assert_unchanged(*from, *what);
        }
    }
    let every = [
        What::Start,
        What::Opened,
        What::Unreachable,
        What::Refused(401),
        What::Message,
        What::Unreadable,
        What::CloseFrame(1001),
        What::Broken,
        What::After(AN_HOUR),
        What::Close,
    ];
    for what in every {
        assert_unchanged(From::Closed, what);
    }
}

fn assert_unchanged(from: From, what: What) {
    let mut bench = bench(from);
    let before = bench.machine.state();
    apply(&mut bench, what);
    assert_eq!(bench.machine.state(), before, "{from:?}, {what:?}");
    assert_eq!(bench.commands(), [], "{from:?}, {what:?}");
    assert_eq!(bench.told(), [""; 0], "{from:?}, {what:?}");
}

#[test]
fn what_an_earlier_connection_does_is_not_heard() {
    for from in ALL {
        for earlier in
            [What::Opened, What::Unreachable, What::Refused(401), What::Message, What::CloseFrame(4001), What::Broken]
        {
            let mut bench = Bench::new().open();
            bench.sends(follow("a", 0));
            bench.written();
            bench.breaks();
            let old = bench.generation;
            match from {
                From::Idle => continue,
                From::Backoff => {}
                From::Connecting => bench.wake(),
                From::Greeting => {
                    bench.wake();
                    bench.opened();
                }
                From::Open => bench.reopen(),
                From::Closing => {
                    bench.reopen();
                    bench.input(Input::Close);
                }
                From::Closed => bench.input(Input::Close),
            }
            bench.commands();
            bench.told();
            let (state, current) = (bench.machine.state(), bench.generation);

            bench.generation = old;
            if from == From::Open {
                bench.hears(&events("a", [1]));
            }
            apply(&mut bench, earlier);
            assert_eq!(bench.machine.state(), state, "{from:?}, {earlier:?}");
            assert_eq!(bench.commands(), [], "{from:?}, {earlier:?}");
            assert_eq!(bench.told(), [""; 0], "{from:?}, {earlier:?}");

            bench.generation = current;
            if from == From::Open {
                bench.hears(&events("a", [1]));
                assert_eq!(bench.told(), ["a[1]"], "the position has not moved");
            }
        }
    }
}

#[test]
fn a_session_that_is_over_takes_nothing() {
    for from in [From::Closing, From::Closed] {
        let mut bench = bench(from);
        let error = bench.machine.enqueue(say("late")).expect_err("it is over");
        assert_eq!(error.to_string(), "the socket is closed; connect again to send more");
        assert_eq!(error.into_message(), say("late"));
    }
}
