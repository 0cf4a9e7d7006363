//! The `use` lines of a file, from the paths that it names.

use std::collections::{BTreeMap, BTreeSet};

/// One line for each parent, with its names in braces where there are several. The standard library comes first,
/// then other crates, then this one, with empty lines between.
pub(crate) fn lines(paths: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for group in 0..3 {
        let group: BTreeSet<&String> = paths.iter().filter(|path| group_of(path) == group).collect();
        if !lines.is_empty() && !group.is_empty() {
            lines.push(String::new());
        }
        lines.extend(group_lines(&group));
    }
    lines
}

fn group_of(path: &str) -> usize {
    match path.split("::").next() {
        Some("std") => 0,
        Some("crate" | "super") => 2,
        _ => 1,
    }
}

fn group_lines(paths: &BTreeSet<&String>) -> Vec<String> {
    let mut parents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        let (parent, name) = path.rsplit_once("::").unwrap_or(("", path));
        parents.entry(parent).or_default().push(name);
    }
    let line = |(parent, names): (&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("use {parent}::{name};"),
        names => format!("use {parent}::{{{}}};", names.join(", ")),
    };
    parents.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_parent_share_a_line() {
        let paths = ["super::Run", "uuid::Uuid", "super::Approval"].map(str::to_owned);
        assert_eq!(lines(&BTreeSet::from(paths)), ["use uuid::Uuid;", "", "use super::{Approval, Run};"]);
    }
}
