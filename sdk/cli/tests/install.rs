//! `install` and `uninstall` as a person runs them.

#![cfg(unix)]

mod support;

use std::fs;

use serde_json::Value;

use support::Machine;

const SETTINGS: &str = "{\n    \"model\": \"opus\",\n    \"hooks\": {\n        \"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"say done\"}]}]\n    }\n}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("is text")
}

#[test]
fn it_shows_asks_changes_and_takes_back() {
    let machine = Machine::new();
    let path = machine.path(".claude/settings.json");
    fs::create_dir(machine.path(".claude")).expect("creates");
    fs::write(&path, SETTINGS).expect("writes");

    let shown = machine.run(&["install", "claude-code", "--dry-run"]);
    assert_eq!(shown.status.code(), Some(0));
    let diff = text(&shown.stdout);
    assert!(diff.contains("+        \"PermissionRequest\": [") && diff.contains("--timeout 86400"), "{diff}");
    assert_eq!(fs::read_to_string(&path).expect("reads"), SETTINGS);

    let unconfirmed = machine.run(&["install", "claude-code"]);
    assert_eq!(unconfirmed.status.code(), Some(2), "nobody is there to say yes");
    assert_eq!(fs::read_to_string(&path).expect("reads"), SETTINGS);

    assert_eq!(machine.run(&["install", "claude-code", "--yes"]).status.code(), Some(0));
    let installed = fs::read_to_string(&path).expect("reads");
    assert!(installed.contains(env!("CARGO_BIN_EXE_flightdeck")));
    let again = machine.run(&["install", "claude-code", "--yes", "--json"]);
    let again: Value = serde_json::from_slice(&again.stdout).expect("is JSON");
    assert_eq!(again["result"], "unchanged");
    assert_eq!(fs::read_to_string(&path).expect("reads"), installed);

    assert_eq!(machine.run(&["uninstall", "claude-code", "--yes"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).expect("reads"), SETTINGS);
}

#[test]
fn every_scope_has_its_file_and_links_stay_links() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("project/.claude")).expect("creates");
    fs::create_dir(machine.path("dotfiles")).expect("creates");
    fs::write(machine.path("dotfiles/claude.json"), SETTINGS).expect("writes");
    let link = machine.path("project/.claude/settings.json");
    std::os::unix::fs::symlink(machine.path("dotfiles/claude.json"), &link).expect("links");

    for (scope, file) in [
        ("user", ".claude/settings.json"),
        ("project", "dotfiles/claude.json"),
        ("local", "project/.claude/settings.local.json"),
    ] {
        let done = machine.run(&["install", "claude-code", "--scope", scope, "--yes"]);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        assert!(fs::read_to_string(machine.path(file)).expect("reads").contains("hook claude-code"));
    }
    assert!(link.is_symlink());
    for scope in ["user", "project", "local"] {
        assert_eq!(machine.run(&["uninstall", "claude-code", "--scope", scope, "--yes"]).status.code(), Some(0));
    }
    assert!(link.is_symlink() && !machine.path(".claude/settings.json").exists());
    assert_eq!(fs::read_to_string(machine.path("dotfiles/claude.json")).expect("reads"), SETTINGS);
}

#[test]
fn a_damaged_file_is_left_alone_and_the_place_is_named() {
    let machine = Machine::new();
    fs::create_dir(machine.path(".claude")).expect("creates");
    fs::write(machine.path(".claude/settings.json"), "{\n  \"model\": \"opus\",\n}").expect("writes");
    let refused = machine.run(&["install", "claude-code", "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused.stderr);
    assert!(message.contains("settings.json") && message.contains("line 3"), "{message}");
    assert_eq!(
        fs::read_to_string(machine.path(".claude/settings.json")).expect("reads"),
        "{\n  \"model\": \"opus\",\n}"
    );
}

#[test]
fn doctor_names_what_is_missing_and_fails() {
    let machine = Machine::new();
    let checked = machine.run(&["doctor", "--json", "--url", "http://127.0.0.1:9"]);
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).expect("is JSON");
    let level = |name: &str| {
        let checks = report["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["name"] == name).map(|check| check["level"].clone())
    };
    assert_eq!(level("config"), Some("ok".into()));
    for name in ["pairing", "server", "hooks"] {
        assert_eq!(level(name), Some("fail".into()), "{name}");
    }
}

#[test]
fn config_shows_where_values_come_from_and_no_secret() {
    let mut machine = Machine::paired("http://127.0.0.1:9");
    machine.set("FLIGHTDECK_DEVICE_TOKEN", "another secret");
    machine.config("[hook]\nwhen_unreachable = \"deny\"\n");
    let shown = text(&machine.run(&["config"]).stdout);
    assert!(!shown.contains("secret\"") && !shown.contains("a secret") && !shown.contains("another secret"), "{shown}");
    assert!(shown.contains("variable FLIGHTDECK_URL") && shown.contains("deny  (config.toml)"), "{shown}");
}
