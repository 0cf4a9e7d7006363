//! How commands begin and end.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use uuid::Uuid;

use super::*;
use crate::clock::ManualClock;

#[tokio::test]
async fn a_command_runs_where_it_should_and_its_exit_is_told() {
    let folder_ = tempfile::tempdir().expect("a folder");
    let path = folder_.path().canonicalize().expect("it has a path");
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    snapshot(&mut viewer).await;
    let cwd = folder(path.to_str().expect("it is UTF-8"));
    // The folder is the one that was opened, wherever it is by now.
    let moved = path.with_extension("moved");
    std::fs::rename(&path, &moved).expect("it can be moved");
    std::fs::create_dir(&path).expect("another takes its place");
    let mut run = terminal.run(&script("pwd; exit 3"), cwd, Limits::default()).await.expect("it starts");
    let (printed, told) = rest(&mut viewer).await;
    std::fs::remove_dir(&moved).expect("it is empty");
    assert_eq!(String::from_utf8_lossy(&printed), format!("{}\r\n", moved.display()));
    assert_eq!((told.code, told.why), (3, Ended::ByItself));
    assert_eq!(exit(&mut run).await, told);
    assert!(!terminal.is_busy());
}

#[tokio::test]
async fn a_signal_is_a_code() {
    let (_, exit) = printed(&terminal(), &script("kill -SEGV $$")).await;
    assert_eq!((exit.code, exit.why), (128 + 11, Ended::ByItself));
}

#[tokio::test]
async fn the_duration_is_the_clocks() {
    let clock = ManualClock::starting_now();
    let terminal = terminal_with(Arc::new(clock.clone()), OnDisconnect::Keep);
    let mut viewer = terminal.attach(None);
    let mut run = run(&terminal, &command("cat")).await;
    clock.advance(Duration::from_millis(1_234));
    viewer.write(b"\x04").expect("there is room");
    assert_eq!(exit(&mut run).await.duration, Duration::from_millis(1_234));
    snapshot(&mut viewer).await;
}

#[tokio::test]
async fn a_terminal_runs_one_command_after_another_on_one_screen() {
    let terminal = terminal();
    let mut one = run(&terminal, &script("printf first; cat")).await;
    let mut viewer = terminal.attach(None);
    until(&mut viewer, "first").await;
    let refused = terminal.run(&command("true"), folder("/"), Limits::default()).await.expect_err("one runs");
    assert!(matches!(refused, RunError::Busy), "{refused}");
    viewer.write(b"\x04").expect("there is room");
    exit(&mut one).await;
    viewer.write(b"nobody reads this").expect("it is dropped");
    let mut other = run(&terminal, &script("printf second")).await;
    exit(&mut other).await;
    let mut late = terminal.attach(None);
    let screen = String::from_utf8_lossy(&snapshot(&mut late).await).into_owned();
    assert!(screen.contains("first\r\nsecond") && !screen.contains("nobody"), "{screen:?}");
}

#[tokio::test]
async fn what_a_killed_program_left_set_is_unset_for_the_next() {
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    run(&terminal, &script("printf 'top\\033[?1049h\\033[?1003h\\033[?25lvim'; kill -9 $$")).await;
    until(&mut viewer, "vim").await;
    assert!(matches!(next(&mut viewer).await, Output::Exit(_)));
    let (printed, _) = {
        run(&terminal, &script("printf next")).await;
        rest(&mut viewer).await
    };
    let printed = String::from_utf8_lossy(&printed).into_owned();
    for unset in ["\x1b[?1049l", "\x1b[?1003l", "\x1b[?25h"] {
        assert!(printed.contains(unset), "{printed:?}");
    }
    assert!(printed.ends_with("\r\nnext"), "{printed:?}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let terminal = terminal();
    let refused = terminal.run(&command("no-such-program -x"), folder("/"), Limits::default()).await;
    let refused = refused.expect_err("there is none").to_string();
    assert!(refused.contains("no-such-program"), "{refused}");
    assert!(!terminal.is_busy(), "another may run");
    assert_eq!(printed(&terminal, &command("true")).await.1.code, 0);
}

#[tokio::test]
async fn a_script_is_found_beneath_the_folder_only() {
    let outside = tempfile::tempdir().expect("a folder");
    let inside = outside.path().join("repo");
    std::fs::create_dir_all(inside.join("bin")).expect("a folder");
    for script in [outside.path().join("evil.sh"), inside.join("run.sh"), inside.join("bin/tool"), inside.join("ls")] {
        std::fs::write(&script, "#!/bin/sh\necho ran $0\n").expect("a file");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it may run");
    }
    std::fs::write(inside.join("text"), "no program").expect("a file");
    std::os::unix::fs::symlink("../evil.sh", inside.join("link.sh")).expect("a link");
    let cwd = || folder(inside.to_str().expect("it is UTF-8"));
    let terminal = terminal();
    for (program, said) in [("./run.sh", "ran ./run.sh"), ("bin/tool", "ran ./bin/tool")] {
        let mut viewer = terminal.attach(None);
        snapshot(&mut viewer).await;
        terminal.run(&command(program), cwd(), Limits::default()).await.expect("it starts");
        let printed = rest(&mut viewer).await.0;
        assert_eq!(String::from_utf8_lossy(&printed).trim(), said);
    }
    for program in ["../evil.sh", "./../evil.sh", "./link.sh", "./text", "./bin", "run.sh"] {
        let refused = terminal.run(&command(program), cwd(), Limits::default()).await;
        assert!(matches!(refused, Err(RunError::NotFound(_))), "{program} must not run");
    }
    // Folders of the path that are the repository's are none.
    let path = OsStr::new(":.:bin:/bin:/usr/bin");
    let found = command("ls").locate(Some(path), std::os::fd::AsFd::as_fd(&cwd()));
    assert!(found == Some(PathBuf::from("/bin/ls")) || found == Some(PathBuf::from("/usr/bin/ls")), "{found:?}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let clock = ManualClock::starting_now();
    let terminal = terminal_with(Arc::new(clock.clone()), OnDisconnect::Keep);
    let mut viewer = terminal.attach(None);
    // One in its group, one in a session of its own, and one that has lost its parent too. None heeds what it is told.
    let stubborn = "trap '' HUP TERM; sleep 1000 & echo a=$!;";
    let left = "setsid sh -c \"trap '' HUP TERM; echo b=\\$\\$; sleep 1000\" & (setsid sh -c \"trap '' HUP TERM; echo c=\\$\\$; sleep 1000\" &) ;";
    let limits = Limits::within(Some(Duration::from_secs(5)));
    let mut run =
        terminal.run(&script(&format!("{stubborn} {left} wait")), folder("/"), limits).await.expect("it starts");
    let mut printed = String::new();
    while !["a=", "b=", "c="].iter().all(|name| printed.contains(name)) || !printed.ends_with('\n') {
        match next(&mut viewer).await {
            Output::Bytes(bytes) | Output::Snapshot { bytes, .. } => printed.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("nothing else comes: {other:?}"),
        }
    }
    let pid = |name: &str| {
        let (_, rest) = printed.split_once(name).expect("it was printed");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    let pids = [pid("a="), pid("b="), pid("c=")];
    assert!(pids.iter().all(|pid| lives(pid)), "{pids:?}");
    clock.advance(Duration::from_secs(4));
    tokio::task::yield_now().await;
    assert!(terminal.is_busy());
    clock.advance(Duration::from_secs(2));
    let exit = exit(&mut run).await;
    assert_eq!((exit.code, exit.why), (128 + 9, Ended::TimedOut));
    assert!(!pids.iter().any(|pid| lives(pid)), "{pids:?}");
}

#[tokio::test]
async fn a_cancelled_command_may_end_by_itself() {
    let terminal = terminal();
    assert!(!terminal.cancel(), "nothing runs");
    let mut viewer = terminal.attach(None);
    let mut run =
        run(&terminal, &script("trap 'echo tidied; exit 7' TERM HUP; echo ready; while :; do sleep 0.01; done")).await;
    until(&mut viewer, "ready").await;
    assert!(terminal.cancel());
    let (printed, told) = rest(&mut viewer).await;
    assert!(String::from_utf8_lossy(&printed).contains("tidied"));
    assert_eq!((told.code, told.why), (7, Ended::Cancelled));
    exit(&mut run).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended_with_it() {
    let (printed, exit) = printed(&terminal(), &script("setsid sleep 1000 & sleep 1000 & echo $!; exit 0")).await;
    assert_eq!((exit.code, exit.why), (0, Ended::ByItself));
    assert!(!lives(printed.trim()), "{printed:?}");
}

#[tokio::test]
async fn a_command_that_prints_too_much_is_ended() {
    let terminal = terminal();
    let limits = Limits { output: 1 << 20, ..Limits::default() };
    let mut run = terminal.run(&command("yes"), folder("/"), limits).await.expect("it starts");
    assert_eq!(exit(&mut run).await.why, Ended::TooMuchOutput);
}

#[tokio::test]
async fn a_command_that_starts_too_many_processes_is_ended() {
    let terminal = terminal();
    let limits = Limits { processes: 20, ..Limits::default() };
    let many = "i=0; while [ $i -lt 40 ]; do setsid sleep 1000 & i=$((i+1)); done; wait";
    let mut run = terminal.run(&script(many), folder("/"), limits).await.expect("it starts");
    assert_eq!(exit(&mut run).await.why, Ended::TooManyProcesses);
}

#[tokio::test]
async fn a_command_that_nobody_watches_is_ended_if_that_is_wanted() {
    let clock = ManualClock::starting_now();
    let after = Duration::from_secs(30);
    let terminal = terminal_with(Arc::new(clock.clone()), OnDisconnect::Kill { after });
    let mut viewer = terminal.attach(None);
    let mut run = run(&terminal, &script("echo ready; exec cat")).await;
    until(&mut viewer, "ready").await;
    clock.advance(after * 2);
    viewer.write(b"typed\r").expect("there is room");
    until(&mut viewer, "typed").await;
    drop(viewer);
    // Who comes back in time saves it.
    clock.advance(after / 2);
    let mut again = terminal.attach(None);
    clock.advance(after * 2);
    again.write(b"back\r").expect("there is room");
    until(&mut again, "back").await;
    drop(again);
    let time_goes_by = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            clock.advance(after / 10);
        }
    };
    tokio::select! {
        ended = exit(&mut run) => assert_eq!(ended.why, Ended::Unwatched),
        () = time_goes_by => {}
    }
    // By default, it is kept.
    let kept = terminal_with(Arc::new(clock.clone()), OnDisconnect::Keep);
    let mut viewer = kept.attach(None);
    super::run(&kept, &script("echo ready; exec cat")).await;
    until(&mut viewer, "ready").await;
    drop(viewer);
    clock.advance(after * 2);
    let mut again = kept.attach(None);
    until(&mut again, "ready").await;
    again.write(b"still there\r").expect("there is room");
    until(&mut again, "still there").await;
}

#[tokio::test]
async fn the_environment_is_the_commands_own() {
    let allowed = ["PATH", "HOME", "USER", "LANG", "TERM", "COLORTERM", "FLIGHTDECK_TERMINAL_PROCESS"];
    let is_allowed = |name: &str| allowed.contains(&name) || name.starts_with("LC_");
    // Whatever runs the tests says more to them than that: cargo, or the script that runs all of them.
    assert!(std::env::vars().any(|(name, _)| !is_allowed(&name)), "there is a canary");
    let (printed, _) = printed(&terminal(), &command("env")).await;
    for line in printed.lines() {
        assert!(is_allowed(line.split_once('=').map_or(line, |(name, _)| name)), "{line}");
    }
    assert!(printed.contains("TERM=xterm-256color\r\n") && printed.contains("COLORTERM=truecolor\r\n"), "{printed}");
}

#[tokio::test]
async fn a_command_writes_no_core() {
    let (printed, _) = printed(&terminal(), &script("sleep 0.1; ulimit -c")).await;
    assert_eq!(printed.trim(), "0");
}

#[tokio::test]
async fn a_dropped_or_closed_terminal_leaves_nothing() {
    let (terminal_, other) = (terminal(), terminal());
    let mut pids = Vec::new();
    let mut viewers = Vec::new();
    for terminal in [&terminal_, &other] {
        let mut viewer = terminal.attach(None);
        run(terminal, &script("echo pid=$$.; trap '' TERM HUP; while :; do sleep 1; done")).await;
        let printed = until(&mut viewer, ".\r\n").await;
        let (_, rest) = printed.split_once("pid=").expect("it was printed");
        pids.push(rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        viewers.push(viewer);
    }
    drop(terminal_);
    until_gone(&pids[0]).await;
    other.close().await;
    assert!(!lives(&pids[1]));
    for mut viewer in viewers {
        while let Some(output) = tokio::time::timeout(PATIENCE, viewer.next()).await.expect("it ends in time") {
            assert!(!matches!(output, Output::Exit(exit) if exit.why != Ended::Closed));
        }
    }
    let refused = other.run(&command("true"), folder("/"), Limits::default()).await;
    assert!(matches!(refused, Err(RunError::Closed)));
}

#[tokio::test]
async fn terminals_are_one_for_each_id() {
    let supervisor = Supervisor::new(Vec::new(), None);
    let terminals = Terminals::new(supervisor, Arc::new(SystemClock), OnDisconnect::Keep);
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    assert!(terminals.get(one).is_none());
    let mut runs = Vec::new();
    for id in [one, other] {
        runs.push(run(&terminals.open(id).expect("they are open"), &command("sleep 1000")).await);
        assert!(terminals.open(id).expect("they are open").is_busy(), "it is the same one");
    }
    terminals.close(one).await;
    assert_eq!(exit(&mut runs[0]).await.why, Ended::Closed);
    assert!(terminals.get(one).is_none() && terminals.get(other).is_some_and(|terminal| terminal.is_busy()));
    assert!(!terminals.open(one).expect("they are open").is_busy(), "it is another one");
    terminals.close_all().await;
    assert_eq!(exit(&mut runs[1]).await.why, Ended::Closed);
    assert!(matches!(terminals.open(one), Err(RunError::Closed)));
}
