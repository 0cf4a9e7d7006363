//! Those who type and watch.

use super::*;

fn size(cols: u32, rows: u32) -> Size {
    Size::new(cols, rows).expect("it is within bounds")
}

/// A shell that tells the terminal's size for each line that is typed, and when it changes.
const SIZES: &str = "stty -echo; trap 'echo changed' WINCH; echo ready; while :; do read line && stty size; done";

#[tokio::test]
async fn the_size_is_that_of_who_typed_or_resized_last() {
    let terminal = terminal();
    // Who comes first and finds nothing running gives the size.
    let mut laptop = terminal.attach(Some(size(120, 40)));
    let _run = run(&terminal, &script(SIZES)).await;
    until(&mut laptop, "ready").await;
    // Who only looks changes nothing.
    let mut phone = terminal.attach(Some(size(40, 20)));
    until(&mut phone, "ready").await;
    laptop.write(b"\r").expect("there is room");
    until(&mut laptop, "40 120").await;
    phone.write(b"\r").expect("there is room");
    let printed = until(&mut laptop, "20 40").await;
    assert!(printed.contains("changed"), "the program is told: {printed:?}");
    laptop.resize(size(100, 30));
    laptop.write(b"\r").expect("there is room");
    until(&mut phone, "30 100").await;
    phone.write(b"\r").expect("there is room");
    // And again that of who typed last, though nobody resized.
    until(&mut phone, "20 40").await;
    let mut late = terminal.attach(None);
    match next(&mut late).await {
        Output::Snapshot { size: told, .. } => assert_eq!(told, size(40, 20)),
        other => panic!("a snapshot comes first, not {other:?}"),
    }
}

#[tokio::test]
async fn viewers_are_told_a_new_size_where_it_begins() {
    let terminal = terminal();
    let (mut one, mut other) = (terminal.attach(None), terminal.attach(None));
    snapshot(&mut one).await;
    snapshot(&mut other).await;
    one.resize(size(90, 30));
    for viewer in [&mut one, &mut other] {
        assert_eq!(next(viewer).await, Output::Resized(size(90, 30)));
    }
}

#[tokio::test]
async fn all_viewers_see_the_same_and_all_may_type() {
    let terminal = terminal();
    let mut viewers = [terminal.attach(None), terminal.attach(None), terminal.attach(None)];
    for viewer in &mut viewers {
        snapshot(viewer).await;
    }
    run(&terminal, &script("stty -echo; echo ready; cat")).await;
    for turn in 0..3 {
        let said = format!("viewer {turn}");
        if turn == 0 {
            for viewer in &mut viewers {
                until(viewer, "ready").await;
            }
        }
        viewers[turn].write(format!("{said}\r").as_bytes()).expect("there is room");
        for viewer in &mut viewers {
            until(viewer, &said).await;
        }
    }
    viewers[1].write(b"\x04").expect("there is room");
    let mut ends = Vec::new();
    for viewer in &mut viewers {
        ends.push(rest(viewer).await);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[tokio::test]
async fn who_comes_back_sees_the_same_screen() {
    let terminal = terminal();
    let mut first = terminal.attach(None);
    let text = "printf 'shell\\r\\n\\033[?1049h\\033[2J\\033[5;10H\\033[1;38;2;1;2;3mtop\\033[0m 漢字\\033[?2004h\\033[3;20r\\033[7;7H.'; cat";
    snapshot(&mut first).await;
    run(&terminal, &script(text)).await;
    let mut stayed = screen::Screen::new(Size::default());
    let mut raw = Vec::new();
    while !raw.ends_with(b".") {
        if let Output::Bytes(bytes) | Output::Snapshot { bytes, .. } = next(&mut first).await {
            raw.extend_from_slice(&bytes);
            stayed.feed(&bytes);
        }
    }
    drop(first);
    let mut again = terminal.attach(None);
    let mut came_back = screen::Screen::new(Size::default());
    came_back.feed(&snapshot(&mut again).await);
    assert_eq!(stayed.snapshot(), came_back.snapshot());
    // And what comes then is exactly what comes next.
    again.write(b"typed\r\x04").expect("there is room");
    let (printed, _) = rest(&mut again).await;
    assert_eq!(String::from_utf8_lossy(&printed), "typed\r\ntyped\r\n");
}

#[tokio::test]
async fn bytes_that_are_no_text_come_as_they_are() {
    // Every byte, characters cut in two with a pause between, and beginnings that do not go on.
    let script_ = "stty raw -echo; i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done; \
                   printf '\\342\\202'; sleep 0.05; printf '\\254\\360\\237'; sleep 0.05; printf '\\377\\033[3'; sleep 0.05; printf '1m'";
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    snapshot(&mut viewer).await;
    run(&terminal, &script(script_)).await;
    let (printed, exit) = rest(&mut viewer).await;
    let mut expected: Vec<u8> = (0..=255).collect();
    expected.extend_from_slice(b"\xe2\x82\xac\xf0\x9f\xff\x1b[31m");
    assert_eq!(printed, expected);
    assert_eq!(exit.code, 0);
}

#[tokio::test]
async fn keys_work_as_on_a_terminal() {
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    let mut run =
        run(&terminal, &script("trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.01; done")).await;
    until(&mut viewer, "ready").await;
    viewer.write(b"\x03").expect("there is room");
    until(&mut viewer, "interrupted").await;
    let exit = exit(&mut run).await;
    assert_eq!((exit.code, exit.why), (5, Ended::ByItself));
}

#[tokio::test]
async fn a_long_paste_arrives_whole_and_what_is_too_much_is_refused() {
    let terminal = terminal();
    let mut viewer = terminal.attach(None);
    run(&terminal, &script("stty raw -echo; echo ready; head -c 500000 | cksum; echo stopped; sleep 1000")).await;
    until(&mut viewer, "ready").await;
    let paste: Vec<u8> = (0..500_000_u32).map(|at| b"abcdefghijklmnop"[(at / 7 % 16) as usize]).collect();
    viewer.write(&paste).expect("there is room");
    let printed = until(&mut viewer, "stopped").await;
    assert!(printed.contains(" 500000"), "{printed}");
    let refused = (0..40).map(|_| viewer.write(&paste[..100_000])).find_map(Result::err).expect("nobody reads that");
    assert!(refused.to_string().contains("does not read"), "{refused}");
    assert!(terminal.cancel(), "it can be ended all the same");
    rest(&mut viewer).await;
}

#[tokio::test]
async fn a_program_that_asks_its_terminal_is_answered_once() {
    // Nobody watches: the server answers.
    let ask =
        "stty raw -echo; printf '\\033[3;4H\\033[6n'; dd bs=6 count=1 2>/dev/null | od -c | head -1; exec sleep 1000";
    let alone = terminal();
    let _run = run(&alone, &script(ask)).await;
    let answered = async {
        loop {
            let mut late = alone.attach(None);
            let screen = String::from_utf8_lossy(&snapshot(&mut late).await).into_owned();
            drop(late);
            if screen.contains('R') && screen.contains("033") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it is answered");
    // Somebody does, whose own terminal answers.
    let watched = terminal();
    let mut viewer = watched.attach(None);
    let wait =
        "stty raw -echo min 0 time 5; printf '\\033[6n'; printf '[%s]' \"$(dd bs=6 count=1 2>/dev/null | wc -c)\"";
    let mut run = run(&watched, &script(wait)).await;
    until(&mut viewer, "[0]").await;
    exit(&mut run).await;
}
