//! A server, a network and a caller, all of whom do what a seed says: connections break at any point, frames come late,
//! twice or not at all, logs are trimmed and begin anew, the caller stops reading. Whatever happens, each event reaches
//! the caller once and in order, or the caller is told that some are missing; and each message reaches the server at most
//! once and in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::bench::{Bench, settings, unreachable};
use super::chat::{Chat, Client, Known, Server, gap, json, login, note, say, synced};
use crate::runtime::socket::machine::{Command, Input};
use crate::runtime::{SocketError, SocketFrame, SocketState, Update};

/// The lobby and the hall are entered by the server itself, at the beginning of each connection. The hall is followed by
/// the client as well.
const LOBBY: &str = "lobby";
const HALL: &str = "hall";
const ROOMS: [&str; 4] = ["a", "b", HALL, LOBBY];
/// Events in one message.
const PAGE: usize = 3;

/// What the caller knows about a room.
#[derive(Debug)]
struct Seen {
    /// The next event must be the one after this. `None`: anything may come.
    last: Option<u64>,
    /// All since this subscription, and the log that they are from.
    events: BTreeSet<u64>,
    log: Option<u32>,
}

impl Seen {
    const fn nothing() -> Self {
        Self { last: None, events: BTreeSet::new(), log: None }
    }
}

#[derive(Debug, Default)]
struct Log {
    end: u64,
    /// The first event that is kept.
    first: u64,
}

/// The server's end of the current connection.
struct Connection {
    generation: u64,
    /// By room: the last event that was sent. Absent: not followed.
    follows: BTreeMap<String, u64>,
    to_client: VecDeque<SocketFrame>,
    to_server: VecDeque<String>,
    /// Whether the client has said anything that is neither credential nor subscription.
    spoken: bool,
}

struct World {
    random: StdRng,
    bench: Bench,
    epoch: u32,
    logs: BTreeMap<&'static str, Log>,
    connection: Option<Connection>,
    /// Frames of connections that are gone.
    late: Vec<(u64, SocketFrame)>,
    seen: BTreeMap<&'static str, Seen>,
    /// Rooms that the client has subscribed to on some connection.
    subscribed: BTreeSet<String>,
    /// The numbers of the messages that the server has heard, and of the next that is said.
    heard: Vec<u64>,
    next_say: u64,
    resyncs: u32,
    events: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            bench: Bench::<Chat>::with(settings(), seed),
            epoch: 1,
            logs: ROOMS.into_iter().map(|room| (room, Log { end: 0, first: 1 })).collect(),
            connection: None,
            late: Vec::new(),
            seen: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            heard: Vec::new(),
            next_say: 0,
            resyncs: 0,
            events: 0,
        };
        world.bench.sends(login("token"));
        world.subscribe("a", Some(0), None);
        world.subscribe("b", None, None);
        world.subscribe(HALL, Some(0), None);
        world.seen.insert(LOBBY, Seen::nothing());
        world.bench.input(Input::Start);
        world
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn room(&mut self) -> &'static str {
        ROOMS[self.random.random_range(0..ROOMS.len())]
    }

    fn subscribe(&mut self, room: &'static str, since: Option<u64>, log: Option<u32>) {
        let epoch = log.map(|log| log.to_string());
        if self.bench.machine.enqueue(Client::Follow { room: room.to_owned(), since, epoch }).is_ok() {
            self.seen.insert(room, Seen { last: since, events: BTreeSet::new(), log });
        }
    }

    // The server.

    fn say_to_client(&mut self, message: &Known) {
        if let Some(connection) = &mut self.connection {
            connection.to_client.push_back(SocketFrame::Text(json(message).into()));
        }
    }

    fn happen(&mut self, room: &'static str) {
        let log = self.logs.get_mut(room).expect("all rooms have a log");
        log.end += 1;
        let seq = log.end;
        let followed = self.connection.as_mut().and_then(|connection| connection.follows.get_mut(room));
        if let Some(last) = followed {
            *last = seq;
            // A server that repeats itself, where that can be noticed.
            let from = if room == "a" && self.chance(10) { seq.saturating_sub(2).max(1) } else { seq };
            self.say_events(room, &(from..=seq).collect::<Vec<_>>());
        }
    }

    fn say_events(&mut self, room: &str, seqs: &[u64]) {
        let log = Some(self.epoch);
        self.say_to_client(&Known::Events { room: room.to_owned(), seqs: seqs.to_vec(), log });
    }

    fn trim(&mut self, room: &'static str) {
        let log = self.logs.get_mut(room).expect("all rooms have a log");
        log.first = self.random.random_range(log.first..=log.end + 1);
    }

    fn begin_anew(&mut self) {
        self.epoch += 1;
        for log in self.logs.values_mut() {
            *log = Log { end: 0, first: 1 };
        }
    }

    fn server_hears(&mut self) {
        let Some(text) = self.connection.as_mut().and_then(|connection| connection.to_server.pop_front()) else {
            return;
        };
        let connection = self.connection.as_mut().expect("it has just spoken");
        match serde_json::from_str(&text).expect("clients write JSON") {
            Client::Login { .. } => assert!(!connection.spoken, "the credential comes first"),
            Client::Leave { room } => {
                connection.follows.remove(&room);
            }
            Client::Say { text } => {
                let number = text.parse().expect("a number");
                assert!(self.heard.last().is_none_or(|last| *last < number), "{number} after {:?}", self.heard);
                self.heard.push(number);
                if !connection.spoken {
                    let missing: Vec<_> =
                        self.subscribed.iter().filter(|room| !connection.follows.contains_key(*room)).collect();
                    assert!(missing.is_empty(), "said something before it followed {missing:?}");
                }
                connection.spoken = true;
            }
            Client::Follow { room, since, epoch } => self.follow(&room, since, epoch),
        }
    }

    fn follow(&mut self, room: &str, since: Option<u64>, epoch: Option<String>) {
        self.subscribed.insert(room.to_owned());
        let log = &self.logs[room];
        let (end, first) = (log.end, log.first);
        let other_log = epoch.is_some_and(|epoch| epoch != self.epoch.to_string());
        let mut after = since.unwrap_or(end);
        if other_log || after > end || after + 1 < first {
            let next = if after > end && !other_log { end + 1 } else { first };
            self.say_to_client(&gap(room, next));
            after = next - 1;
        }
        let history: Vec<_> = (after + 1..=end).collect();
        for page in history.chunks(PAGE) {
            self.say_events(room, page);
        }
        self.say_to_client(&synced(room, end));
        self.connection.as_mut().expect("it has just spoken").follows.insert(room.to_owned(), end);
    }

    // The network.

    fn obey(&mut self) {
        for command in self.bench.commands() {
            match command {
                Command::Connect { generation } => {
                    assert!(self.connection.is_none(), "one connection at a time");
                    if self.chance(20) {
                        self.bench.input(Input::Failed { generation, error: unreachable() });
                        return self.obey();
                    }
                    let entered = [LOBBY, HALL].map(|room| (room.to_owned(), self.logs[room].end));
                    self.connection = Some(Connection {
                        generation,
                        follows: entered.into(),
                        to_client: VecDeque::new(),
                        to_server: VecDeque::new(),
                        spoken: false,
                    });
                    self.say_to_client(&Known::Hello { epoch: Some(self.epoch.to_string()) });
                    self.bench.input(Input::Opened { generation, credential: None });
                }
                Command::Disconnect { .. } => self.lose_connection(),
            }
        }
    }

    /// What was under way to the server is lost; what was under way to the client comes too late.
    fn lose_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            let generation = connection.generation;
            self.late.extend(connection.to_client.into_iter().map(|frame| (generation, frame)));
        }
    }

    fn client_writes(&mut self) {
        let now = self.bench.now;
        while let Some(frame) = self.bench.machine.take_frame(now) {
            if let (SocketFrame::Text(text), Some(connection)) = (frame, &mut self.connection) {
                connection.to_server.push_back(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }

    fn client_hears(&mut self) {
        if !self.bench.machine.wants_frames() {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        let generation = connection.generation;
        let Some(frame) = connection.to_client.pop_front() else { return };
        // What is followed without a position cannot be checked.
        let checked =
            matches!(&frame, SocketFrame::Text(text) if String::from_utf8_lossy(text).contains(r#""room":"a""#));
        if checked && self.chance(2) {
            // A server that forgets.
            return;
        }
        self.bench.input(Input::Frame { generation, frame: frame.clone() });
        if checked && self.chance(5) {
            self.bench.input(Input::Frame { generation, frame });
        }
    }

    fn something_late(&mut self) {
        if !self.late.is_empty() {
            let (generation, frame) = self.late.swap_remove(self.random.random_range(0..self.late.len()));
            self.bench.input(Input::Frame { generation, frame });
        }
    }

    fn break_connection(&mut self) {
        let Some(connection) = &self.connection else { return };
        let generation = connection.generation;
        let codes = [1001, 1011, 4002, 4999];
        let input = match self.random.random_range(0..6) {
            0 => Input::Broken { generation, error: SocketError::Lost("reset".into()) },
            1 => Input::Frame { generation, frame: SocketFrame::Text("nonsense".into()) },
            way => {
                Input::Frame { generation, frame: SocketFrame::Close { code: codes[way - 2], reason: String::new() } }
            }
        };
        let expired = matches!(input, Input::Frame { frame: SocketFrame::Close { code: 4002, .. }, .. });
        self.bench.input(input);
        if expired {
            // Its subscriptions wait for that.
            self.bench.sends(login("token"));
        }
        self.obey();
    }

    // The caller.

    fn caller_reads(&mut self) {
        while let Some(update) = self.bench.machine.take_update() {
            match update {
                Update::Message(Server::Known(Known::Events { room, seqs, log })) => self.gets(&room, &seqs, log),
                Update::Resync { key } => {
                    self.resyncs += 1;
                    let rooms: Vec<_> =
                        ROOMS.into_iter().filter(|room| key.as_deref().is_none_or(|key| key == *room)).collect();
                    for room in rooms {
                        self.seen.insert(room, Seen::nothing());
                    }
                }
                Update::Closed { reason, .. } => panic!("nothing here ends a session: {reason}"),
                _ => {}
            }
        }
    }

    fn gets(&mut self, room: &str, seqs: &[u64], log: Option<u32>) {
        let Some(seen) = self.seen.get_mut(room) else { panic!("nobody asked for {room}") };
        for seq in seqs {
            self.events += 1;
            assert!(seen.events.insert(*seq), "{room}: {seq} came twice");
            assert!(seen.last.is_none_or(|last| *seq == last + 1), "{room}: {seq} after {:?}", seen.last);
            assert!(seen.log.is_none_or(|before| Some(before) == log), "{room}: {seq} is of another log");
            seen.last = Some(*seq);
            seen.log = log;
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..22 => {
                let room = self.room();
                self.happen(room);
            }
            22..45 => self.server_hears(),
            45..70 => self.client_hears(),
            70..80 => self.client_writes(),
            80..88 => self.caller_reads(),
            88..91 => self.something_late(),
            91..93 => self.break_connection(),
            93 => {
                let room = self.room();
                self.trim(room);
            }
            94 if self.chance(20) => {
                // A log begins anew only where everything else does too.
                self.break_connection();
                self.begin_anew();
            }
            95 => {
                let _full = self.bench.machine.enqueue(say(self.next_say.to_string()));
                self.next_say += 1;
            }
            96 if self.chance(20) => self.follow_anew(),
            _ => {
                let most = self.bench.machine.wake_at().map_or(Duration::ZERO, |at| at.saturating_sub(self.bench.now));
                let part = most.mul_f64(self.random.random_range(0.0..1.1));
                self.bench.advance(part);
            }
        }
        self.obey();
    }

    /// The caller follows a room again, from where it is or from somewhere before.
    fn follow_anew(&mut self) {
        self.caller_reads();
        let room = ["a", "b", HALL][self.random.random_range(0..3)];
        let Some(last) = self.seen[room].last else { return };
        // Only while nothing of it is under way can the caller tell what comes from what came before.
        self.settle();
        self.caller_reads();
        if self.seen[room].last.is_some() {
            let since = self.random.random_range(0..=last);
            let log = self.seen[room].log;
            self.subscribe(room, Some(since), log);
            self.client_writes();
        }
    }

    /// Lets everything arrive that is under way.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.caller_reads();
            self.obey();
            if self.bench.machine.state() != SocketState::Open && self.connection.is_none() {
                self.bench.wake();
                continue;
            }
            self.client_writes();
            self.server_hears();
            let Some(connection) = &mut self.connection else { continue };
            let generation = connection.generation;
            match connection.to_client.pop_front() {
                Some(frame) => self.bench.input(Input::Frame { generation, frame }),
                None if connection.to_server.is_empty() && !self.bench.machine.has_frame() => return,
                None => {}
            }
        }
        panic!("it never comes to rest");
    }
}

#[test]
fn every_event_comes_once_and_in_order_or_its_loss_is_told() {
    let (mut resyncs, mut all) = (0, 0);
    for seed in 0..150 {
        let mut world = World::new(seed);
        for _ in 0..2500 {
            world.step();
        }
        // With one more event each, and past the time in which events may belong to an earlier subscription, whatever
        // was lost on the way is noticed.
        for _ in 0..3 {
            world.settle();
            world.bench.now += Duration::from_secs(10);
            for room in ROOMS {
                world.happen(room);
            }
        }
        world.settle();
        world.caller_reads();
        for room in ["a", "b", HALL] {
            assert_eq!(world.seen[room].last, Some(world.logs[room].end), "seed {seed}, room {room}");
        }
        resyncs += world.resyncs;
        all += world.events;
    }
    assert!(all > 20_000, "{all} events came");
    assert!(resyncs > 100 && resyncs < all / 5, "{resyncs} times something was missing");
}

#[test]
fn unknown_messages_and_notes_do_not_move_anything() {
    let mut world = World::new(1);
    world.settle();
    let room = "a";
    for _ in 0..5 {
        world.happen(room);
        world.say_to_client(&note("by the way"));
        world.settle();
    }
    assert_eq!(world.seen[room].last, Some(5));
}
