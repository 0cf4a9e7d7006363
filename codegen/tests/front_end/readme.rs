//! The README's table of diagnostics and the registry agree.

use std::path::Path;

use flightdeck_codegen::diagnostic::{Code, Severity};

#[test]
fn the_readme_lists_every_diagnostic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("the README can be read");
    let found: Vec<&str> = readme.lines().filter(|line| line.starts_with("| FD")).collect();
    let expected: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            let warning = if code.severity() == Severity::Warning { " (a warning)" } else { "" };
            format!("| {} | {}{warning} |", code.as_str(), code.meaning())
        })
        .collect();
    assert_eq!(found, expected, "the table should be:\n{}\n", expected.join("\n"));
}
