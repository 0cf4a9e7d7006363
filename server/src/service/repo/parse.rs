//! Reading what git wrote of a difference. No bytes whatever make it panic.

use std::ops::Range;

use super::diff::{FilePatch, Hunk, Kind};
use super::quote;

/// What git wrote is not of the shape it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A hunk in a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// With its first line.
    pub(super) bytes: Range<usize>,
    /// Where its lines start.
    pub(super) body: usize,
    pub(super) old: (u64, u64),
    pub(super) new: (u64, u64),
}

struct Raw<'a> {
    modes: (&'a str, &'a str),
    status: u8,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What `--raw -p` wrote: a line for each file, an empty one, and the patches in the same order.
pub(super) fn files(written: &[u8]) -> Result<Vec<FilePatch>, Broken> {
    let mut rest = written;
    let mut raws = Vec::new();
    while rest.first() == Some(&b':') {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Broken)?;
        raws.push(raw(&rest[1..end]).ok_or(Broken)?);
        rest = &rest[end + 1..];
    }
    let mut patches = patches(rest.strip_prefix(b"\n").unwrap_or(rest)).into_iter().peekable();
    let mut files = Vec::with_capacity(raws.len());
    for raw in raws {
        let mut patch = patches.next().ok_or(Broken)?.to_vec();
        // A file that became a link, or the other way, is written as one that went and one that came.
        let parts = if raw.status == b'T' { 2 } else { 1 };
        for _ in 1..parts {
            patch.extend_from_slice(patches.next().ok_or(Broken)?);
        }
        files.push(file(&raw, patch)?);
    }
    if patches.next().is_some() { Err(Broken) } else { Ok(files) }
}

/// The names of files that are in the middle of a merge.
pub(super) fn unmerged(written: &[u8]) -> Vec<Vec<u8>> {
    let lines = written.split(|byte| *byte == b'\n').take_while(|line| line.first() == Some(&b':'));
    lines.filter_map(|line| raw(&line[1..])).filter(|raw| raw.status == b'U').map(|raw| raw.new).collect()
}

fn raw(line: &[u8]) -> Option<Raw<'_>> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let mut head = std::str::from_utf8(fields.next()?).ok()?.split(' ');
    let modes = (head.next()?, head.next()?);
    let status = *head.nth(2)?.as_bytes().first()?;
    let old = quote::unquoted(fields.next()?)?;
    let new = fields.next().map_or_else(|| Some(old.clone()), quote::unquoted)?;
    Some(Raw { modes, status, old, new })
}

/// No line of a hunk or of binary content starts as a patch does, so that patches are told apart by that alone.
fn patches(written: &[u8]) -> Vec<&[u8]> {
    const START: &[u8] = b"diff --git ";
    let mut starts = Vec::new();
    let mut at = 0;
    while at < written.len() {
        if written[at..].starts_with(START) {
            starts.push(at);
        }
        at += line_length(&written[at..]);
    }
    let ends = starts.iter().skip(1).copied().chain([written.len()]);
    starts.iter().zip(ends).map(|(start, end)| &written[*start..end]).collect()
}

fn file(raw: &Raw<'_>, patch: Vec<u8>) -> Result<FilePatch, Broken> {
    let kind = match raw.status {
        b'A' | b'C' => Kind::Added,
        b'D' => Kind::Deleted,
        b'M' | b'T' => Kind::Modified,
        b'R' => Kind::Renamed,
        _ => return Err(Broken),
    };
    let mode = |mode: &str| (mode != "000000").then(|| mode.to_owned());
    let spans = if raw.status == b'T' { Vec::new() } else { spans(&patch)? };
    let binary = spans.is_empty() && is_binary(&patch);
    let odd = raw.modes.0 != raw.modes.1 || raw.modes.0 == "160000";
    let hunks = spans.iter().map(|span| hunk(&patch, span)).collect();
    Ok(FilePatch {
        path: quote::shown(&raw.new),
        old_path: (kind == Kind::Renamed).then(|| quote::shown(&raw.old)),
        kind,
        binary,
        whole: binary || odd || kind != Kind::Modified || spans.is_empty(),
        old_mode: mode(raw.modes.0),
        new_mode: mode(raw.modes.1),
        patch,
        hunks,
    })
}

fn is_binary(patch: &[u8]) -> bool {
    patch.split(|byte| *byte == b'\n').any(|line| line == b"GIT binary patch" || line.starts_with(b"Binary files "))
}

fn hunk(patch: &[u8], span: &Span) -> Hunk {
    let body = &patch[span.body..span.bytes.end];
    let lines = body.strip_suffix(b"\n").unwrap_or(body).split(|byte| *byte == b'\n');
    Hunk {
        start_old: span.old.0,
        len_old: span.old.1,
        start_new: span.new.0,
        len_new: span.new.1,
        lines: lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect(),
    }
}

/// The hunks of one file's patch.
pub(super) fn spans(patch: &[u8]) -> Result<Vec<Span>, Broken> {
    let mut spans: Vec<Span> = Vec::new();
    let mut at = 0;
    while at < patch.len() {
        let line = &patch[at..at + line_length(&patch[at..])];
        let start = at;
        at += line.len();
        if !line.starts_with(b"@@ -") {
            if !spans.is_empty() {
                return Err(Broken);
            }
            continue;
        }
        let (old, new) = numbers(line).ok_or(Broken)?;
        let body = at;
        let mut left = (old.1, new.1);
        while left != (0, 0) || patch.get(at) == Some(&b'\\') {
            let taken = match patch.get(at).ok_or(Broken)? {
                b' ' => (1, 1),
                b'-' => (1, 0),
                b'+' => (0, 1),
                b'\\' => (0, 0),
                _ => return Err(Broken),
            };
            left = (left.0.checked_sub(taken.0).ok_or(Broken)?, left.1.checked_sub(taken.1).ok_or(Broken)?);
            at += line_length(&patch[at..]);
        }
        spans.push(Span { bytes: start..at, body, old, new });
    }
    Ok(spans)
}

/// With its end.
fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1)
}

type Range2 = (u64, u64);

/// The numbers of `@@ -1,2 +3,4 @@`.
fn numbers(line: &[u8]) -> Option<(Range2, Range2)> {
    let end = line.windows(3).position(|three| three == b" @@")?;
    let text = std::str::from_utf8(line.get(4..end)?).ok()?;
    let (old, new) = text.split_once(" +")?;
    let range = |text: &str| match text.split_once(',') {
        Some((start, length)) => Some((start.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    Some((range(old)?, range(new)?))
}
