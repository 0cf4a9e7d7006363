//! Programs that draw a whole screen, over `/ws/pty`, as somebody sees them: `avt`, which is another emulator than the server's,
//! reads what comes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use avt::{Cell, Color, Terminal};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, RawSocket, Received, Repository, Request, ServerProcess, on_sqlite};
use serde_json::{Value, json};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

const COLS: usize = 100;
const ROWS: usize = 30;

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a session on it.
struct Deck {
    process: ServerProcess,
    repository: Repository,
    id: String,
    token: String,
    /// Goes last.
    _store: TestDatabase,
}

impl Deck {
    async fn start(commands: &str) -> Result<Self> {
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let repository = store.repository()?;
        let allowed = store.repositories()?.display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let settings = [
            ("REPO_ALLOWLIST", allowed.as_str()),
            ("CMD_ALLOWLIST", commands),
            ("PATH", path.as_str()),
            ("HOME", "/nowhere"),
            ("LANG", "C.UTF-8"),
        ];
        let process = ServerProcess::on(&store, &settings).await?;
        let request = Request::post("/api/session", &json!({"repo": repository.text()})).bearer("DEV");
        let created = request.send(process.address()).await?.success()?;
        let text = |name: &str| created[name].as_str().map(str::to_owned).context("a session has it");
        Ok(Self { id: text("sessionId")?, token: text("token")?, process, repository, _store: store })
    }

    async fn run(&self, command: &str) -> Result<()> {
        let request = Request::post("/api/cmd", &json!({"cmd": command})).bearer(&self.token);
        request.send(self.process.address()).await?.success()?;
        Ok(())
    }

    async fn open(&self) -> Result<RawSocket> {
        let address = format!("/ws/pty?sessionId={}&cols={COLS}&rows={ROWS}&frames=binary", self.id);
        let request = Request::socket(address).bearer(&self.token);
        RawSocket::open(self.process.address(), &request, document::socket("terminal"), Kind::Sqlite).await?.socket()
    }

    /// Somebody who looks at the terminal.
    async fn watch(&self) -> Result<Viewer> {
        let socket = self.open().await?;
        Ok(Viewer {
            socket,
            screen: Terminal::new(COLS, ROWS).map_err(|size| anyhow!("{size:?}"))?,
            rest: Vec::new(),
            exit: None,
        })
    }

    /// How much memory the server has.
    fn memory(&self) -> Result<u64> {
        let id = Pid::from_u32(self.process.id().context("the server runs")?);
        let mut system = System::new();
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[id]),
            true,
            ProcessRefreshKind::nothing().with_memory(),
        );
        Ok(system.process(id).context("the server runs")?.memory())
    }
}

/// Takes the screen with which a terminal greets: its size and, as it is empty, one piece.
async fn shown(socket: &mut RawSocket) -> Result<()> {
    loop {
        match socket.next().await? {
            Received::Raw(_) => return Ok(()),
            Received::Message("resize", _) => {}
            other => bail!("{other:?} came before the screen"),
        }
    }
}

/// A client with a screen.
struct Viewer {
    socket: RawSocket,
    screen: Terminal,
    /// The beginning of a character.
    rest: Vec<u8>,
    exit: Option<Value>,
}

impl Viewer {
    /// Takes what comes next.
    async fn look(&mut self) -> Result<()> {
        match self.socket.next().await? {
            Received::Raw(data) => self.feed(&data),
            Received::Message("exit", message) => self.exit = Some(message),
            Received::Message("resize", message) => {
                let size = |name: &str| message[name].as_u64().and_then(|size| usize::try_from(size).ok());
                self.screen.resize(size("cols").context("columns")?, size("rows").context("rows")?);
            }
            Received::Message(_, message) => bail!("{message} came"),
            Received::Ping(_) | Received::Pong(_) => {}
            end => bail!("{end:?} came; the screen was\n{}", self.text()),
        }
        Ok(())
    }

    fn feed(&mut self, data: &[u8]) {
        self.rest.extend_from_slice(data);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.rest.split_off(whole);
        self.screen.feed([&*String::from_utf8_lossy(&self.rest)]);
        self.rest = rest;
    }

    /// The screen, line by line.
    fn text(&self) -> String {
        let lines = self.screen.screen().visible_lines().map(|line| line.text().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Looks until the screen is right.
    async fn until(&mut self, what: &str, right: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !right(&self.text()) {
            ensure!(Instant::now() < deadline, "{what}; the screen is\n{}", self.text());
            ensure!(self.exit.is_none(), "{what}; it ended, and the screen is\n{}", self.text());
            self.look().await.with_context(|| format!("{what}; the screen is\n{}", self.text()))?;
        }
        Ok(())
    }

    async fn until_exit(&mut self) -> Result<Value> {
        loop {
            if let Some(exit) = self.exit.take() {
                return Ok(exit);
            }
            self.look().await?;
        }
    }

    async fn keys(&mut self, keys: &str) -> Result<()> {
        self.socket.send_raw(keys).await
    }

    /// Every cell with how it looks, and the cursor. Of what is blank, only the background is seen.
    fn cells(&self) -> Vec<String> {
        let cursor = self.screen.cursor();
        let cells = self.screen.screen().visible_lines().enumerate().flat_map(|(row, line)| {
            let look = |cell: &Cell| match cell.char() {
                ' ' => format!("{:?}", cell.pen().background()),
                _ => format!("{cell:?}"),
            };
            let cells = line.cells().iter().enumerate();
            cells.map(|(column, cell)| format!("{row},{column}: {}", look(cell))).collect::<Vec<_>>()
        });
        cells.chain([format!("{},{} {}", cursor.col, cursor.row, cursor.visible)]).collect()
    }
}

/// Fails with the first cells that differ.
fn same(one: &Viewer, other: &Viewer) -> Result<()> {
    let (one, other) = (one.cells(), other.cells());
    ensure!(one.len() == other.len(), "{} cells and {}", one.len(), other.len());
    let different: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one != other).take(5).collect();
    ensure!(different.is_empty(), "{different:#?}");
    Ok(())
}

on_sqlite! {
    /// Somebody writes a file with it.
    async fn vim_can_be_used() {
        let deck = Deck::start("vim -u NONE -N written.txt").await?;
        let mut viewer = deck.watch().await?;
        deck.run("vim -u NONE -N written.txt").await?;
        viewer.until("vim draws", |text| text.lines().filter(|line| *line == "~").count() > 20).await?;
        viewer.keys("ione line\rzwölf €\x1b").await?;
        viewer.until("what is typed is there", |text| text.starts_with("one line\nzwölf €\n~")).await?;
        // Whoever comes now sees the same.
        let mut other = deck.watch().await?;
        other.until("the screen comes back", |text| text.starts_with("one line\nzwölf €\n~")).await?;
        viewer.keys("ggO\x1b").await?;
        for viewer in [&mut viewer, &mut other] {
            viewer.until("both see what is typed", |text| text.starts_with("\none line\nzwölf €\n~")).await?;
        }
        viewer.keys("dd:wq\r").await?;
        ensure!(viewer.until_exit().await?["code"] == 0, "vim failed:\n{}", viewer.text());
        ensure!(deck.repository.read("written.txt").as_deref() == Some("one line\nzwölf €\n"), "it wrote something else");
    }

    async fn top_can_be_used() {
        let deck = Deck::start("top -d 1").await?;
        let mut viewer = deck.watch().await?;
        deck.run("top -d 1").await?;
        let drawn = |text: &str| text.contains("load average") && text.contains("PID") && text.contains("COMMAND");
        viewer.until("top draws", drawn).await?;
        // It is another screen that it goes to.
        viewer.keys("h").await?;
        viewer.until("it shows its help", |text| text.contains("Help for Interactive Commands")).await?;
        viewer.keys("q").await?;
        viewer.until("it comes back", drawn).await?;
        viewer.keys("q").await?;
        ensure!(viewer.until_exit().await?["code"] == 0, "top failed");
    }

    async fn colours_arrive() {
        let deck = Deck::start("sh colours.sh").await?;
        deck.repository.write("colours.sh", "printf '\\033[2J\\033[H\\033[31mr\\033[42mg\\033[38;5;208mi\\033[38;2;1;2;3mt\\033[0;1;3;4mb\\033[0mp'\n")?;
        let mut viewer = deck.watch().await?;
        deck.run("sh colours.sh").await?;
        viewer.until_exit().await?;
        for mut viewer in [viewer, deck.watch().await?] {
            viewer.exit = None;
            viewer.until("they are drawn", |text| text.starts_with("rgitbp")).await?;
            let line = viewer.screen.screen().visible_lines().next().context("there is a first line")?;
            let pens: Vec<_> = line.cells().iter().take(6).map(|cell| *cell.pen()).collect();
            ensure!(pens[0].foreground() == Some(Color::Indexed(1)), "{:?}", pens[0]);
            ensure!(pens[1].background() == Some(Color::Indexed(2)), "{:?}", pens[1]);
            ensure!(pens[2].foreground() == Some(Color::Indexed(208)), "{:?}", pens[2]);
            ensure!(pens[3].foreground() == Some(Color::rgb(1, 2, 3)), "{:?}", pens[3]);
            ensure!(pens[4].is_bold() && pens[4].is_italic() && pens[4].is_underline(), "{:?}", pens[4]);
            ensure!(pens[5].foreground().is_none() && pens[5].background().is_none(), "{:?}", pens[5]);
        }
    }

    /// Scrolled, coloured, in margins, with wide characters and the cursor somewhere.
    async fn whoever_comes_back_sees_the_same_cell_by_cell() {
        let deck = Deck::start("sh draw.sh").await?;
        let script = "stty -echo\ni=0; while [ $i -lt 300 ]; do printf '\\033[3%dmline %d \\033[0;7m漢字 é €\\033[0m\\r\\n' $((i%8)) $i; i=$((i+1)); done\n\
            printf '\\033[5;20r\\033[18;1Hin margins\\nscrolled\\nagain\\nand again\\n\\033[r\\033[10;40H\\033[48;5;22;1mbox\\033[K\\033[0m\\033[12;7H'\n\
            read line\n";
        deck.repository.write("draw.sh", script)?;
        let mut first = deck.watch().await?;
        deck.run("sh draw.sh").await?;
        let done = |text: &str| text.contains("box") && text.contains("and again");
        first.until("it draws", done).await?;
        // What comes last is the cursor's place.
        while (first.screen.cursor().col, first.screen.cursor().row) != (6, 11) {
            first.look().await?;
        }
        for _ in 0..3 {
            let mut again = deck.watch().await?;
            again.until("it is drawn again", done).await?;
            while (again.screen.cursor().col, again.screen.cursor().row) != (6, 11) {
                again.look().await?;
            }
            same(&first, &again)?;
        }
    }

    /// As fast as it is read, all of it, and none of it kept.
    async fn a_hundred_megabytes_arrive_in_little_memory() {
        const BYTES: usize = 100 << 20;
        const GROWTH: u64 = 48 << 20;
        let command = "sh loud.sh";
        let deck = Deck::start(command).await?;
        deck.repository.write("loud.sh", format!("stty -opost; yes 0123456789abcde | head -c {BYTES}\n"))?;
        let mut socket = deck.open().await?;
        shown(&mut socket).await?;
        let before = deck.memory()?;
        deck.run(command).await?;
        let (mut count, mut most) = (0_usize, before);
        let (mut last, mut sampled) = (Vec::new(), 0);
        // A machine that has too much to do reads too slowly now and then, and gets the screen instead.
        let mut missed = false;
        loop {
            match socket.next().await? {
                Received::Raw(data) => {
                    count += data.len();
                    last = data;
                    if count - sampled > 4 << 20 {
                        sampled = count;
                        most = most.max(deck.memory()?);
                    }
                }
                Received::Message("exit", exit) => {
                    ensure!(exit["code"] == 0, "{exit}");
                    break;
                }
                Received::Message("resize", _) => missed = true,
                Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
                end => bail!("{end:?} came after {count} bytes"),
            }
        }
        ensure!(missed || count == BYTES, "{count} bytes came of {BYTES}");
        ensure!(count > 0 && String::from_utf8_lossy(&last).contains("0123456789abcde"), "{:?}", String::from_utf8_lossy(&last));
        ensure!(missed || last.ends_with(b"0123456789abcde\n"), "{:?}", String::from_utf8_lossy(&last[last.len().saturating_sub(40)..]));
        ensure!(most - before < GROWTH, "the server grew from {before} to {most} bytes");
    }

    /// Nobody waits for somebody who does not read: what is missed is made up for by the screen.
    async fn who_does_not_read_holds_nobody_up_and_gets_the_screen() {
        const BYTES: usize = 100 << 20;
        const GROWTH: u64 = 48 << 20;
        let command = "sh loud.sh";
        let deck = Deck::start(command).await?;
        deck.repository.write("loud.sh", format!("yes 0123456789abcde | head -c {BYTES}; echo the end\n"))?;
        let mut slow = deck.watch().await?;
        let mut reading = deck.open().await?;
        shown(&mut reading).await?;
        let before = deck.memory()?;
        deck.run(command).await?;
        reading.until("exit").await?;
        let grown = deck.memory()?.saturating_sub(before);
        ensure!(grown < GROWTH, "the server grew by {grown} bytes");
        // It was cut off or not; either way, what it sees now is the end.
        let seen = slow.until_exit().await;
        if seen.is_err() || !slow.text().contains("the end") {
            slow = deck.watch().await?;
            slow.until("it comes back to the end", |text| text.contains("the end")).await?;
        }
        let mut fresh = deck.watch().await?;
        fresh.until("it is the end", |text| text.contains("the end")).await?;
        same(&slow, &fresh)?;
    }
}
