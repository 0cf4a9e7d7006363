//! A companion at work: one loop that moves keys, output, messages and events between the person's terminal, the agent
//! and the server. What is to be done with each is decided elsewhere.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, sleep_until, timeout};

use super::agent::{Agent, exit_code};
use super::desk::{Desk, NOTE_EVERY};
use super::group::{Ending, PATIENCE, is_gone};
use super::keeper::Keeper;
use super::link::{Event, Link};
use super::notices::About;
use super::place::Place;
use super::screen::Screen;
use super::signals::{Signals, Wanted};
use super::terminal::Terminal;
use super::transcript::{Pace, Transcript};

/// An agent that has said something and has been silent for so long listens.
const LISTENS_AFTER: Duration = Duration::from_millis(300);
/// One that says nothing listens after this.
const LISTENS_ANYWAY: Duration = Duration::from_secs(5);
/// How long the last output of an agent that has ended may take.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// How long the others of its group may take.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// What a shell answers when there is no such program, and when it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// What it works with.
pub(super) struct Session {
    pub(super) command: Vec<OsString>,
    pub(super) url: String,
    pub(super) link: Link,
    pub(super) place: Place,
    pub(super) began: Instant,
}

/// How an agent ended.
enum End {
    Code(u8),
    /// Another is to be started in its place.
    Restart,
}

/// Something that happened to the agent or its terminal.
enum Happening {
    Output(io::Result<usize>),
    Typed(io::Result<usize>),
    Keys(Vec<u8>),
    Server(Event),
    Wanted(Wanted),
    Ended(io::Result<ExitStatus>),
    Time,
}

impl Session {
    /// Runs the agent until it ends; answers with its exit code.
    pub(super) async fn run(self) -> Result<u8> {
        // Before anybody hears of an agent that will not be there.
        if let Err(error) = find(&self.command) {
            return Ok(not_started(&self.command, &error));
        }
        let signals = Signals::listen()?;
        let mut desk = Desk::new(self.link, self.url, self.place, self.began);
        desk.first_contact().await?;
        let mut keeper = match Keeper::start() {
            Ok(keeper) => Some(keeper),
            Err(error) => {
                let text = format!("the process that would end the agent after a `kill -9` did not start: {error}");
                desk.notices.give(About::Keeper, &text);
                None
            }
        };
        desk.notices.hold();
        let terminal = Terminal::take();
        let size = terminal.size();
        let mut stage = Stage {
            terminal,
            signals,
            screen: Screen::new(size),
            transcript: Transcript::default(),
            pace: Pace::default(),
            buffer: vec![0; 64 * 1024],
        };
        let code = loop {
            let agent = Agent::start(&self.command, stage.terminal.size(), stage.terminal.modes());
            let mut agent = match agent {
                Ok(agent) => agent,
                Err(error) => {
                    stage.terminal.give_back().await;
                    let code = not_started(&self.command, &error);
                    desk.close().await;
                    return Ok(code);
                }
            };
            if let Some(keeper) = &mut keeper {
                keeper.keep(Some(agent.group));
            }
            let end = stage.attend(&mut agent, &mut desk).await;
            if let Some(keeper) = &mut keeper {
                keeper.keep(None);
            }
            match end {
                End::Code(code) => break code,
                End::Restart => {}
            }
        };
        stage.terminal.give_back().await;
        desk.close().await;
        Ok(code)
    }
}

/// Whether there is such a program; whether it runs is seen when it is started.
fn find(command: &[OsString]) -> io::Result<()> {
    let program = Path::new(command.first().ok_or(io::ErrorKind::InvalidInput)?);
    let is_found = if program.components().count() > 1 {
        program.exists()
    } else {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).exists())
    };
    if is_found { Ok(()) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
}

fn not_started(command: &[OsString], error: &io::Error) -> u8 {
    let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let (code, advice) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, "; check its name, and that its folder is on PATH"),
        io::ErrorKind::PermissionDenied => (NOT_RUNNABLE, "; make it executable with chmod +x"),
        _ => (NOT_RUNNABLE, ""),
    };
    crate::term::remark(&crate::term::line(&format!("flightdeck: {program} could not be started: {error}{advice}")));
    code
}

/// What the agent plays on.
struct Stage {
    terminal: Terminal,
    signals: Signals,
    screen: Screen,
    transcript: Transcript,
    pace: Pace,
    buffer: Vec<u8>,
}

impl Stage {
    /// Looks after an agent until it is gone, with everything that it has started.
    async fn attend(&mut self, agent: &mut Agent, desk: &mut Desk) -> End {
        let mut ending: Option<Ending> = None;
        let mut listens = false;
        let mut speaks = true;
        desk.restart = false;
        let mut restarts = false;
        let status = loop {
            let now = Instant::now();
            listens = listens || self.listens(agent, now);
            // Before it is known when to wake up: typing pauses.
            let keys = desk.keys(now, listens && ending.is_none(), self.terminal.pastes());
            let wake = self.wake(agent, desk, ending.as_mut(), listens, now);
            match self.happening(agent, desk, (keys.as_deref(), speaks), wake).await {
                Happening::Output(Ok(length)) if length > 0 => self.output(length, desk),
                // Nobody has its terminal open any more.
                Happening::Output(_) => speaks = false,
                Happening::Typed(Ok(length)) => desk.typist.wrote(length),
                Happening::Typed(Err(_)) => desk.typist.forget(),
                Happening::Keys(keys) => desk.typist.keys(keys),
                Happening::Server(event) => desk.hear(event),
                Happening::Wanted(Wanted::Size) => {
                    self.resize(agent);
                }
                Happening::Wanted(Wanted::Pause) => {
                    self.terminal.pause();
                    self.resize(agent);
                }
                Happening::Wanted(Wanted::End(signal)) => {
                    // Whoever asks twice does not want to wait.
                    agent.signal(if ending.is_some() { Signal::KILL } else { signal });
                    restarts = false;
                    ending.get_or_insert_with(|| Ending::asked(agent.group, PATIENCE, Instant::now()));
                }
                Happening::Ended(status) => break status,
                Happening::Time => {}
            }
            if std::mem::take(&mut desk.restart) && ending.is_none() {
                restarts = true;
                agent.signal(Signal::TERM);
                ending = Some(Ending::asked(agent.group, PATIENCE, Instant::now()));
            }
        };
        self.clear_up(agent, desk, speaks).await;
        if restarts { End::Restart } else { End::Code(status.map_or(1, exit_code)) }
    }

    /// The next thing that happens.
    async fn happening(
        &mut self,
        agent: &mut Agent,
        desk: &mut Desk,
        (keys, speaks): (Option<&[u8]>, bool),
        wake: Instant,
    ) -> Happening {
        let has_room = self.terminal.has_room();
        let (mut output, mut input) = agent.pty.split();
        tokio::select! {
            keys = self.terminal.next(desk.typist.has_room_for_keys()) => keys.map_or(Happening::Time, Happening::Keys),
            read = output.read(&mut self.buffer), if speaks && has_room => Happening::Output(read),
            typed = type_keys(&mut input, keys) => Happening::Typed(typed),
            event = desk.link.next() => Happening::Server(event),
            wanted = self.signals.next() => Happening::Wanted(wanted),
            ended = agent.child.wait() => Happening::Ended(ended),
            () = sleep_until(wake.into()) => Happening::Time,
        }
    }

    fn resize(&mut self, agent: &Agent) {
        let size = self.terminal.size();
        agent.resize(size);
        self.screen.resize(size);
    }

    fn output(&mut self, length: usize, desk: &mut Desk) {
        let output = &self.buffer[..length];
        self.screen.feed(output);
        for question in self.terminal.show(output) {
            desk.typist.keys(question.answer(self.screen.cursor()).into_bytes());
        }
        self.pace.output(Instant::now());
    }

    /// Whether the agent can be talked to. Most throw away what was typed before they were ready.
    fn listens(&self, agent: &Agent, now: Instant) -> bool {
        now >= agent.started + LISTENS_ANYWAY || self.pace.silence(now).is_some_and(|silence| silence >= LISTENS_AFTER)
    }

    /// Does what is due, and answers when something will be next.
    fn wake(
        &mut self,
        agent: &Agent,
        desk: &mut Desk,
        ending: Option<&mut Ending>,
        listens: bool,
        now: Instant,
    ) -> Instant {
        if self.pace.due().is_some_and(|due| now >= due) {
            let rests = self.pace.look(now);
            self.look(desk, rests);
        }
        let ends = ending.map(|ending| now + ending.look(now).unwrap_or(LISTENS_AFTER));
        let listening = (!listens && desk.typist.waiting().is_some())
            .then(|| (agent.started + LISTENS_ANYWAY).min(now + LISTENS_AFTER / 3));
        let dues = [self.pace.due(), desk.work(now), desk.typist.due(), ends, listening, Some(now + NOTE_EVERY)];
        dues.into_iter().flatten().min().unwrap_or(now)
    }

    fn look(&mut self, desk: &mut Desk, rests: bool) {
        desk.mirror.add(self.transcript.take(self.screen.look(), rests));
    }

    /// The agent has ended: takes what it said last, ends what it has left behind, and frees the terminal of its modes.
    async fn clear_up(&mut self, agent: &mut Agent, desk: &mut Desk, speaks: bool) {
        if speaks {
            // Those that it has left behind may hold the terminal open.
            while let Ok(Ok(length)) = timeout(LAST_OUTPUT, self.last_output(agent)).await
                && length > 0
            {
                self.output(length, desk);
            }
        }
        let groups = [Some(agent.group), agent.foreground()];
        for group in groups.into_iter().flatten().filter(|group| !is_gone(*group)) {
            let mut ending = Ending::ask(group, LAST_PATIENCE, Instant::now());
            while let Some(pause) = ending.look(Instant::now()) {
                sleep(pause).await;
            }
        }
        self.screen.feed(self.terminal.undo().as_bytes());
        self.look(desk, true);
        self.pace = Pace::default();
        desk.typist.forget();
        agent.is_over();
    }

    async fn last_output(&mut self, agent: &mut Agent) -> io::Result<usize> {
        self.terminal.room().await;
        agent.pty.read(&mut self.buffer).await
    }
}

async fn type_keys(input: &mut pty_process::WritePty<'_>, keys: Option<&[u8]>) -> io::Result<usize> {
    match keys {
        Some(keys) => input.write(keys).await,
        None => pending().await,
    }
}
