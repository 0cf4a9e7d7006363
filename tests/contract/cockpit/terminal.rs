//! `/ws/pty`: what a command prints, what is typed into it, and who sees it. How a screen is shown again, cell by cell, is
//! `e2e::pty`'s.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document;
use flightdeck_tests::{RawSocket, Received, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::Session;

/// What a person sees of raw data: its letters, without what moves the cursor.
fn contains(data: &[u8], text: &str) -> bool {
    data.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Raw data up to and with this text.
async fn shown(socket: &mut RawSocket, text: &str) -> Result<Vec<u8>> {
    socket.raw_until(|data| contains(data, text)).await.with_context(|| format!("waiting for {text:?}"))
}

/// All raw data before the next message with this name, and the message.
async fn until(socket: &mut RawSocket, wanted: &str) -> Result<(Vec<u8>, Value)> {
    let mut data = Vec::new();
    loop {
        match socket.next().await? {
            Received::Raw(more) => data.extend(more),
            Received::Message(name, message) if name == wanted => return Ok((data, message)),
            Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
            end => anyhow::bail!("{end:?} came after {:?}", String::from_utf8_lossy(&data)),
        }
    }
}

/// Opens a session's terminal with these parameters, and takes its size and its screen.
async fn open(server: &TestServer, session: &Session, parameters: &str) -> Result<(RawSocket, Value)> {
    let request = Request::socket(format!("/ws/pty?sessionId={}{parameters}", session.id)).bearer(&session.token);
    let mut socket = server.open(&request).await?;
    let size = socket.expect("resize").await?;
    Ok((socket, size))
}

async fn run(server: &TestServer, session: &Session, command: &str) -> Result<()> {
    server.send(&session.run(command)).await?.success()?;
    Ok(())
}

/// A server whose sessions may run these.
async fn allowing(database: flightdeck_tests::Kind, commands: &str) -> Result<TestServer> {
    TestServer::with(TestOptions::new(database).set("CMD_ALLOWLIST", commands)).await
}

fn size(message: &Value) -> (Option<u64>, Option<u64>) {
    (message["cols"].as_u64(), message["rows"].as_u64())
}

for_each_database! {
    async fn what_a_command_prints_comes_before_its_exit(database) {
        let server = allowing(database, "printf hello,sh seven.sh").await?;
        let session = Session::open(&server).await?;
        session.repository.write("seven.sh", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 7\n")?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "printf hello").await?;
        let (data, exit) = until(&mut socket, "exit").await?;
        ensure!(contains(&data, "hello"), "{:?}", String::from_utf8_lossy(&data));
        ensure!(exit["code"] == 0 && exit["durationMs"].is_u64(), "{exit}");
        // The terminal stays for the next one.
        run(&server, &session, "sh seven.sh").await?;
        let (data, exit) = until(&mut socket, "exit").await?;
        ensure!(exit["code"] == 7, "{exit}");
        let text = String::from_utf8(data)?;
        let lines: Vec<_> = text.split("\r\n").filter(|line| line.contains("line ")).collect();
        ensure!(lines.len() == 2_000 && lines[1_999].ends_with("line 1999"), "{} lines", lines.len());
    }

    async fn what_is_typed_reaches_the_command(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        // Keys that nobody waits for are dropped.
        socket.send_text("dropped\r").await?;
        socket.settle().await?;
        run(&server, &session, "cat").await?;
        // In text frames and in binary ones; what looks like JSON and is no message is typed, too.
        socket.send_text("text\r").await?;
        shown(&mut socket, "text\r\ntext\r\n").await?;
        socket.send_raw("binary\r").await?;
        shown(&mut socket, "binary\r\nbinary\r\n").await?;
        socket.send_text("[1]\r").await?;
        shown(&mut socket, "[1]\r\n[1]\r\n").await?;
        socket.send_text("zwölf €\r").await?;
        shown(&mut socket, "zwölf €\r\nzwölf €\r\n").await?;
        // Control-C.
        socket.send_raw([3]).await?;
        let (data, exit) = until(&mut socket, "exit").await?;
        ensure!(exit["code"] == 130, "{exit}");
        ensure!(!contains(&data, "dropped"), "{:?}", String::from_utf8_lossy(&data));
    }

    /// A text frame with an object is a message, right or wrong: nothing of it is typed.
    async fn what_is_a_message_is_not_typed(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "cat").await?;
        for (message, path) in [
            (json!({"type": "resize", "cols": 0, "rows": 10}), "/cols"),
            (json!({"type": "resize", "cols": 10, "rows": 501}), "/rows"),
            (json!({"type": "resize", "cols": "10", "rows": 10}), "/cols"),
            (json!({"type": "resize", "cols": 10}), ""),
        ] {
            socket.send(&message).await?;
            let error = socket.until("error").await.with_context(|| message.to_string())?;
            ensure!(error["code"] == "invalid_message", "{message} was answered {error}");
            ensure!(error["path"].as_str().unwrap_or_default() == path, "{message} was answered {error}");
        }
        socket.send_text("after\r").await?;
        let data = shown(&mut socket, "after\r\nafter\r\n").await?;
        ensure!(!contains(&data, "resize"), "{:?}", String::from_utf8_lossy(&data));
    }

    async fn one_message_after_the_other_that_is_none_ends_the_terminal_s_socket(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        let most = document::socket("terminal").limits.faults_in_a_row;
        let wrong = json!({"type": "resize", "cols": 0, "rows": 0});
        // Something in between that is right, and all is forgotten.
        for _ in 0..2 {
            for _ in 1..most {
                socket.send(&wrong).await?;
                socket.until("error").await?;
            }
            socket.send_text("x").await?;
        }
        for _ in 0..most {
            socket.send(&wrong).await?;
            socket.until("error").await?;
        }
        socket.expect_close("too_many_faults").await?;
    }

    async fn binary_frames_are_byte_for_byte_and_text_frames_are_text(database) {
        let server = allowing(database, "printf 'a\\377b'").await?;
        let session = Session::open(&server).await?;
        session.repository.write("bytes", "")?;
        let (mut binary, _) = open(&server, &session, "&frames=binary").await?;
        let (mut text, _) = open(&server, &session, "&frames=text").await?;
        let (mut usual, _) = open(&server, &session, "").await?;
        run(&server, &session, "printf 'a\\377b'").await?;
        let (data, _) = until(&mut binary, "exit").await?;
        ensure!(data.windows(3).any(|window| window == b"a\xffb"), "{data:?}");
        for socket in [&mut text, &mut usual] {
            let (data, _) = until(socket, "exit").await?;
            ensure!(contains(&data, "a\u{fffd}b"), "{data:?}");
        }
    }

    async fn a_character_is_whole_wherever_it_was_cut(database) {
        let server = allowing(database, "sh slowly.sh").await?;
        let session = Session::open(&server).await?;
        session.repository.write("slowly.sh", "printf '\\342'; sleep 0.2; printf '\\202'; sleep 0.2; printf '\\254.'\n")?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "sh slowly.sh").await?;
        let (data, _) = until(&mut socket, "exit").await?;
        ensure!(contains(&data, "€."), "{:?}", String::from_utf8_lossy(&data));
    }

    async fn all_that_watch_see_the_same_and_each_may_type(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut one, _) = open(&server, &session, "").await?;
        let (mut other, _) = open(&server, &session, "").await?;
        run(&server, &session, "cat").await?;
        one.send_text("from one\r").await?;
        for socket in [&mut one, &mut other] {
            shown(socket, "from one\r\nfrom one\r\n").await?;
        }
        other.send_text("from the other\r").await?;
        for socket in [&mut one, &mut other] {
            shown(socket, "from the other\r\nfrom the other\r\n").await?;
        }
        // One leaves, and nobody notices.
        one.close().await?;
        other.send_text("still\r").await?;
        shown(&mut other, "still\r\nstill\r\n").await?;
        other.send_raw([4]).await?;
        ensure!(until(&mut other, "exit").await?.1["code"] == 0, "cat ends when its input does");
    }

    async fn the_size_follows_who_acted_last(database) {
        let server = allowing(database, "sh size.sh").await?;
        let session = Session::open(&server).await?;
        session.repository.write("size.sh", "while read line; do stty size; done\n")?;
        let (mut one, first) = open(&server, &session, "&cols=100&rows=30").await?;
        ensure!(size(&first) == (Some(100), Some(30)), "{first}");
        let (mut other, second) = open(&server, &session, "&cols=60&rows=20").await?;
        ensure!(size(&second) == (Some(60), Some(20)) || size(&second) == (Some(100), Some(30)), "{second}");
        run(&server, &session, "sh size.sh").await?;
        one.send_text("\r").await?;
        shown(&mut one, "30 100\r\n").await?;
        other.send_text("\r").await?;
        shown(&mut other, "20 60\r\n").await?;
        // The first one is told, too.
        loop {
            let message = one.until("resize").await?;
            if size(&message) == (Some(60), Some(20)) {
                break;
            }
        }
        one.send(&json!({"type": "resize", "cols": 90, "rows": 25})).await?;
        one.send_text("\r").await?;
        shown(&mut one, "25 90\r\n").await?;
        loop {
            let message = other.until("resize").await?;
            if size(&message) == (Some(90), Some(25)) {
                break;
            }
        }
    }

    async fn whoever_comes_back_gets_the_screen(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "cat").await?;
        socket.send_text("before\r").await?;
        shown(&mut socket, "before\r\nbefore\r\n").await?;
        drop(socket);
        let (mut socket, _) = open(&server, &session, "").await?;
        shown(&mut socket, "before").await?;
        socket.send_text("after\r").await?;
        shown(&mut socket, "after\r\nafter\r\n").await?;
    }

    /// A command that ended is not run again, and its last screen stays.
    async fn what_ended_is_shown_to_whoever_comes_later(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut events = session.follow(&server).await?;
        run(&server, &session, "printf hello").await?;
        events.until("exit").await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        shown(&mut socket, "hello").await?;
    }

    async fn the_end_of_a_session_is_the_end_of_its_terminal(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let (mut idle, _) = open(&server, &session, "").await?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "cat").await?;
        socket.send_text("hello\r").await?;
        shown(&mut socket, "hello\r\nhello\r\n").await?;
        server.send(&session.end()).await?.success()?;
        for socket in [&mut idle, &mut socket] {
            socket.expect_close("credential_invalid").await?;
        }
        server.try_open(&session.terminal()).await?.refused("session_not_found")?;
    }

    /// Not what it prints, nor its end; and nothing that is typed goes there.
    async fn another_session_s_command_is_not_seen(database) {
        let server = TestServer::start(database).await?;
        let mine = Session::open(&server).await?;
        let theirs = Session::open(&server).await?;
        let (mut here, _) = open(&server, &mine, "").await?;
        let (mut there, _) = open(&server, &theirs, "").await?;
        run(&server, &mine, "cat").await?;
        run(&server, &theirs, "cat").await?;
        here.send_text("mine\r").await?;
        shown(&mut here, "mine\r\nmine\r\n").await?;
        there.send_text("theirs\r").await?;
        let data = shown(&mut there, "theirs\r\ntheirs\r\n").await?;
        ensure!(!contains(&data, "mine"), "{:?}", String::from_utf8_lossy(&data));
        there.send_raw([4]).await?;
        until(&mut there, "exit").await?;
        here.send_text("still\r").await?;
        let data = shown(&mut here, "still\r\nstill\r\n").await?;
        ensure!(!contains(&data, "theirs"), "{:?}", String::from_utf8_lossy(&data));
        ensure!(here.settle().await?.is_empty(), "another session's end was told");
        // The token of one does not open the other's.
        let request = Request::socket(format!("/ws/pty?sessionId={}", theirs.id)).bearer(&mine.token);
        server.try_open(&request).await?.refused("session_not_found")?;
    }

    /// More than a program's input holds is refused as a whole, and what was taken is still read.
    async fn what_nobody_reads_is_refused_sooner_or_later(database) {
        const ALL: usize = 128;
        let server = allowing(database, "sh deaf.sh").await?;
        let session = Session::open(&server).await?;
        // Where the system edits lines, it drops by itself what is too long for one.
        session.repository.write("deaf.sh", "stty raw -echo; echo ready; exec sleep 600\n")?;
        let (mut socket, _) = open(&server, &session, "").await?;
        run(&server, &session, "sh deaf.sh").await?;
        shown(&mut socket, "ready").await?;
        let mut refused = None;
        for _ in 0..ALL {
            socket.send_raw(vec![b'x'; 32 * 1024]).await?;
            let messages = socket.settle().await?;
            refused = messages.into_iter().find(|message| message["type"] == "error");
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.context("four megabytes were taken that nobody read")?;
        ensure!(refused["code"] == "input_full" && refused["action"].is_string(), "{refused}");
        socket.settle().await?;
    }

    /// The original's clients put the token into the address: they can't set headers.
    async fn the_token_may_be_in_the_address_of_the_terminal(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let plain = format!("/ws/pty?sessionId={}", session.id);
        let mut socket = server.open(&Request::socket(format!("{plain}&token={}", session.token))).await?;
        socket.expect("resize").await?;
        server.try_open(&Request::socket(&plain)).await?.refused("credential_missing")?;
        server.try_open(&Request::socket(format!("{plain}&token=DEV"))).await?.refused("credential_invalid")?;
    }
}
