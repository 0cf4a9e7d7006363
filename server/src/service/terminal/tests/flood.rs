//! Programs that print much, and viewers who are slow.

use std::time::Instant;

use super::*;

/// How much memory the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it can be read");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    let kib: usize = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number");
    kib << 10
}

/// Prints so many numbered lines of 64 bytes, and a last word.
fn lines(count: usize) -> Command {
    script(&format!(
        "awk 'BEGIN {{ for (i = 0; i < {count}; i++) printf \"%08d %s\\n\", i, \"{}\"; print \"the end\" }}'",
        "x".repeat(53)
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_keeps_up_gets_every_byte() {
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    snapshot(&mut viewer).await;
    run(&terminal, &lines(16_384)).await;
    let (printed, _) = rest(&mut viewer).await;
    let text = String::from_utf8(printed).expect("it is text");
    let mut count = 0;
    for (at, line) in text.lines().take(16_384).enumerate() {
        assert!(line.starts_with(&format!("{at:08} x")), "line {at} is {line:?}");
        count += 1;
    }
    assert_eq!(count, 16_384);
    assert!(text.ends_with("the end\r\n"));
}

/// A viewer that takes something only now and then, until the end of `mebibytes` of output; the most memory there was.
async fn slow(mebibytes: usize) -> (usize, usize) {
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    snapshot(&mut viewer).await;
    let before = resident();
    run(&terminal, &lines(mebibytes << 14)).await;
    let (mut most, mut skips) = (before, 0);
    let mut shown = screen::Screen::new(Size::default());
    loop {
        match next(&mut viewer).await {
            Output::Bytes(bytes) => shown.feed(&bytes),
            Output::Snapshot { bytes, .. } => {
                skips += 1;
                shown.feed(&bytes);
            }
            Output::Exit(exit) => {
                assert_eq!((exit.code, exit.why), (0, Ended::ByItself));
                break;
            }
            Output::Resized(_) => {}
        }
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let last = String::from_utf8_lossy(&shown.snapshot()).into_owned();
    assert!(last.contains("the end"), "in the end it shows what all show");
    (most - before, skips)
}

/// What a screen may take of it, debug build and all.
const GROWTH: usize = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_viewer_costs_little_memory_and_sees_the_end() {
    let (grown, skips) = slow(16).await;
    assert!(skips > 0, "it was too slow for some");
    assert!(grown <= GROWTH * 2, "{grown} bytes more, with other tests beside");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_takes_nothing_does_not_hold_the_others_up() {
    let terminal = terminal();
    let mut fast = terminal.attach(None);
    snapshot(&mut fast).await;
    let mut stuck = terminal.attach(None);
    snapshot(&mut stuck).await;
    let alone = {
        let began = Instant::now();
        run(&terminal, &lines(32_768)).await;
        rest(&mut fast).await;
        began.elapsed()
    };
    assert!(matches!(next(&mut stuck).await, Output::Snapshot { .. }), "it missed some");
    assert!(matches!(next(&mut stuck).await, Output::Exit(_)), "and then learns of the end");
    drop(stuck);
    let began = Instant::now();
    run(&terminal, &lines(32_768)).await;
    rest(&mut fast).await;
    // One second it may have in all, by its credit.
    assert!(alone < began.elapsed() * 2 + Duration::from_secs(2), "{alone:?} beside one who takes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_viewers_a_flood_goes_by_and_can_be_cancelled() {
    let terminal = terminal();
    let mut run = run(&terminal, &command("yes")).await;
    let mut viewer = terminal.attach(None);
    until(&mut viewer, "y\r\ny\r\ny").await;
    // It takes nothing more.
    let began = Instant::now();
    assert!(terminal.cancel());
    assert_eq!(exit(&mut run).await.why, Ended::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(10));
}
