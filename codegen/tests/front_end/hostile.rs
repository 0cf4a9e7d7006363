//! Specs that nobody means well. None of them may crash the generator, hold it up, or reach outside the spec.

use std::time::{Duration, Instant};

use flightdeck_codegen::compile::Compilation;
use flightdeck_codegen::diagnostic::Code;
use flightdeck_codegen::source::Raw;

use crate::specs;

const NAME: &str = "schemas/Name.yaml";

fn with(path: &str, text: impl Into<Vec<u8>>) -> Compilation {
    let mut spec = specs::good();
    spec.insert(path.to_owned(), Raw::Bytes(text.into()));
    let started = Instant::now();
    let compilation = specs::compile(spec);
    assert!(started.elapsed() < Duration::from_secs(10), "{path} held it up");
    compilation
}

fn codes(compilation: &Compilation) -> Vec<Code> {
    compilation.diagnostics.iter().map(|found| found.code).collect()
}

#[test]
fn nesting_is_limited_in_every_style() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(10_000)] {
        let compilation = with(NAME, text);
        assert!(compilation.protocol.is_none());
    }
}

#[test]
fn aliases_do_not_multiply() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        text += &format!("{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n");
    }
    let found = codes(&with(NAME, text));
    assert!(found.iter().all(|code| *code == Code::YamlFeature), "{found:?}");
}

#[test]
fn a_long_line_is_shown_in_part() {
    let text = format!("description: {}\ntype: string\nbad: 1\n", "x".repeat(200_000));
    let report = with(NAME, text.clone() + "description: again\n").report();
    assert!(report.len() < 2_000, "the report has {} bytes", report.len());
    assert_eq!(codes(&with(NAME, text)), [Code::UnknownKeyword]);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let report = with(NAME, "description: A name.\ntype: string\n\"b\\e[31m\u{202e}ad\": 1\n").report();
    assert!(!report.contains(['\u{1b}', '\u{202e}']), "{report:?}");
}

#[test]
fn bytes_that_mean_nothing_are_diagnosed() {
    for text in
        [&b"\0\0\0"[..], b"\xff\xfe", b"%YAML 9.9\n---\n", b"---\n...\n---", b"\t\ta: b", b"!", b"&", b"*", b"|", b"'"]
    {
        assert!(with(NAME, text).protocol.is_none(), "{text:?} passed");
    }
}

#[test]
fn empty_files_are_diagnosed() {
    let of_operations = ["openapi/openapi.yaml", "errors.yaml", "openapi/paths/books.yaml", NAME];
    let of_sockets = ["asyncapi/asyncapi.yaml", "asyncapi/channels/bell.yaml", "asyncapi/close-codes.yaml"];
    for path in of_operations.into_iter().chain(of_sockets) {
        assert!(with(path, "").protocol.is_none(), "an empty {path} passed");
    }
}

#[test]
fn a_pattern_cannot_exhaust_the_generator() {
    let found = codes(&with(NAME, "description: A name.\ntype: string\npattern: \"((a{1000}){1000}){1000}\"\n"));
    assert_eq!(found, [Code::PatternInvalid]);
}

#[test]
#[cfg(unix)]
fn links_out_of_the_spec_are_not_followed() {
    use flightdeck_codegen::source::files;

    let folder = tempfile::tempdir().expect("a folder can be made");
    let secret = folder.path().join("secret.yaml");
    std::fs::write(&secret, "description: A secret.\ntype: string\n").expect("a file can be written");
    let spec = folder.path().join("spec");
    specs::write(&specs::good(), &spec);
    std::os::unix::fs::symlink(&secret, spec.join("schemas/Secret.yaml")).expect("a link can be made");
    std::os::unix::fs::symlink(folder.path(), spec.join("schemas/outside")).expect("a link can be made");
    let found = files::find(&spec).expect("the spec can be read");
    assert!(matches!(found.get("schemas/Secret.yaml"), Some(Raw::Refused(_))));
    assert!(!found.keys().any(|path| path.starts_with("schemas/outside/")));
    let compilation = specs::compile(found);
    assert!(compilation.protocol.is_none());
    assert!(!compilation.report().contains("A secret"));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    use flightdeck_codegen::source::{MAX_FILE_BYTES, files};

    let folder = tempfile::tempdir().expect("a folder can be made");
    specs::write(&specs::good(), folder.path());
    let size = usize::try_from(MAX_FILE_BYTES).expect("it fits") + 1;
    std::fs::write(folder.path().join(NAME), "#".repeat(size)).expect("a file can be written");
    let compilation = specs::compile(files::find(folder.path()).expect("the spec can be read"));
    assert_eq!(codes(&compilation), [Code::Unreadable]);
}

#[test]
fn a_spec_of_a_hundred_thousand_lines_is_read_in_seconds() {
    let mut text = "description: Large.\ntype: object\nproperties:\n".to_owned();
    for number in 0..8_000 {
        text += &format!("  field_{number}: {{ type: string }}\n");
    }
    let found = codes(&with("schemas/Loan.yaml", text));
    assert!(found.is_empty(), "{found:?}");
}
