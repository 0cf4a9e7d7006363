//! The table of close codes and the sockets: every code that is named exists, every code that exists is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, SocketDocument};
use crate::source::{CLOSE_CODES, Sources};

/// Checks the rules of this module.
pub fn check(sources: &Sources, documents: &Documents, problems: &mut Problems) {
    // Without a table every code would be unknown; its own fault has been reported.
    if sources.find(CLOSE_CODES).is_none_or(|(_, file)| file.root.is_none()) {
        return;
    }
    let mut numbers = BTreeMap::new();
    for code in documents.close_codes.values().filter_map(|row| row.code.as_ref()) {
        if let Some(first) = numbers.insert(code.value, code.at) {
            problems.report_with(
                Code::CloseCodeTwice,
                code.at,
                format!("another close code has the number {code}"),
                "take a free one",
                vec![(first, "the other".to_owned())],
            );
        }
    }
    let mut used = BTreeSet::new();
    for socket in documents.sockets.values() {
        used.extend(socket.close_codes.iter().map(|name| name.value.as_str()));
        of_socket(documents, socket, problems);
    }
    for row in documents.close_codes.values().filter(|row| !used.contains(row.name.value.as_str())) {
        let message = format!("no socket ends with `{}`", row.name);
        problems.report(Code::CloseCodeUnused, row.name.at, message, "name it in `x-close-codes`, or delete it");
    }
}

fn of_socket(documents: &Documents, socket: &SocketDocument, problems: &mut Problems) {
    let mut last = None;
    for name in &socket.close_codes {
        let Some(place) = documents.close_codes.get_index_of(&name.value) else {
            let near = crate::names::nearest(&name.value, documents.close_codes.keys().map(String::as_str));
            problems.report(
                Code::CloseCodeUnknown,
                name.at,
                format!("close-codes.yaml has no close code `{name}`"),
                near.map_or_else(|| "add it there first".to_owned(), |near| format!("did you mean `{near}`?")),
            );
            continue;
        };
        if let Some((before, at)) = last
            && place <= before
        {
            let message = format!("`{name}` is named twice, or out of order");
            let hint = "name each once, in the table's order, so that lists can be compared by eye";
            problems.report_with(Code::CloseCodeOrder, name.at, message, hint, vec![(at, "after this one".to_owned())]);
        }
        last = last.filter(|(before, _)| *before > place).or(Some((place, name.at)));
    }
}
