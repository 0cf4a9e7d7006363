//! Every diagnostic has a spec that provokes it, and says what it is meant to say.

use std::collections::BTreeSet;

use flightdeck_codegen::diagnostic::Code;

use crate::{snapshot, specs};

#[test]
fn every_broken_spec_is_diagnosed_as_expected() {
    for (name, spec) in specs::broken() {
        let compilation = specs::compile(spec);
        let code = name.split('_').next().unwrap_or_default().to_uppercase();
        assert!(
            compilation.diagnostics.iter().any(|found| found.code.as_str() == code),
            "{name} does not provoke its own code:\n{}",
            compilation.report()
        );
        let expected = specs::folder().join("broken").join(&name).join("expected.txt");
        snapshot::check(&expected, &compilation.report());
    }
}

#[test]
fn every_code_has_a_broken_spec() {
    let names: Vec<String> = specs::broken().into_keys().collect();
    let provoked: BTreeSet<String> =
        names.iter().filter_map(|name| name.split('_').next()).map(str::to_uppercase).collect();
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(provoked, known, "a folder in tests/specs/broken begins with the code that it provokes");
}

#[test]
fn codes_ascend_and_are_unique() {
    assert!(Code::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
}
