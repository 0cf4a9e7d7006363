//! One patch of what was selected of a diff.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Diff, FilePatch};
use super::error::ApplyError;
use super::parse::{self, Span};
use super::{Selected, quote};

/// A patch that is to be put in, and what it is made of.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) patch: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
}

/// What it does to one file.
#[derive(Debug)]
pub(super) struct Piece {
    /// As it is shown.
    pub(super) file: String,
    /// Each path that is written or removed.
    pub(super) paths: Vec<Vec<u8>>,
    /// Of each hunk its line before the change, and its place among the hunks that were shown.
    pub(super) hunks: Vec<(u64, usize)>,
    /// Where it is in the patch.
    pub(super) patch: std::ops::Range<usize>,
}

impl Change {
    /// What was selected; everything, if nothing was.
    pub(super) fn of(diff: &Diff, select: &[Selected]) -> Result<Self, ApplyError> {
        let everything: Vec<Selected>;
        let select = if select.is_empty() {
            everything =
                diff.files.iter().map(|file| Selected { file: file.path.clone(), hunks: Vec::new() }).collect();
            &everything
        } else {
            select
        };
        let mut chosen: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for selected in select {
            let unknown = |hunk| ApplyError::SelectionUnknown { file: selected.file.clone(), hunk };
            let place = diff.files.iter().position(|file| file.path == selected.file).ok_or_else(|| unknown(None))?;
            let file = &diff.files[place];
            let count = spans(file)?.len();
            if let Some(hunk) = selected.hunks.iter().find(|hunk| **hunk >= count.max(1)) {
                return Err(unknown(Some(*hunk)));
            }
            let asked: BTreeSet<usize> = selected.hunks.iter().copied().collect();
            if file.whole && !asked.is_empty() && asked.len() < count && asked != BTreeSet::from([0]) {
                return Err(unknown(asked.last().copied()));
            }
            let all = file.whole || asked.is_empty();
            chosen.entry(place).or_default().extend(if all { (0..count).collect() } else { asked });
        }
        let mut change = Self { patch: Vec::new(), pieces: Vec::new() };
        for (place, hunks) in chosen {
            change.add(&diff.files[place], &hunks)?;
        }
        if change.pieces.is_empty() { Err(ApplyError::NothingToApply) } else { Ok(change) }
    }

    fn add(&mut self, file: &FilePatch, chosen: &BTreeSet<usize>) -> Result<(), ApplyError> {
        let spans = spans(file)?;
        let start = self.patch.len();
        if file.whole || chosen.len() == spans.len() {
            self.patch.extend_from_slice(&file.patch);
        } else {
            some(&file.patch, &spans, chosen, &mut self.patch);
        }
        let names = [Some(&file.path), file.old_path.as_ref()];
        self.pieces.push(Piece {
            file: file.path.clone(),
            paths: names.into_iter().flatten().filter_map(|name| quote::named(name)).collect(),
            hunks: chosen.iter().filter_map(|hunk| Some((spans.get(*hunk)?.old.0, *hunk))).collect(),
            patch: start..self.patch.len(),
        });
        Ok(())
    }

    /// Every path that is touched.
    pub(super) fn paths(&self) -> BTreeSet<&[u8]> {
        self.pieces.iter().flat_map(|piece| piece.paths.iter().map(Vec::as_slice)).collect()
    }
}

fn spans(file: &FilePatch) -> Result<Vec<Span>, ApplyError> {
    // One that became a link is two patches, and has no hunks to choose from.
    if file.hunks.is_empty() {
        return Ok(Vec::new());
    }
    parse::spans(&file.patch).map_err(|_| ApplyError::Conflict {
        file: file.path.clone(),
        hunk: None,
        why: "the stored patch can not be read".to_owned(),
    })
}

/// Some hunks of a patch, each where it is once those before it are in.
fn some(patch: &[u8], spans: &[Span], chosen: &BTreeSet<usize>, into: &mut Vec<u8>) {
    let head = &patch[..spans.first().map_or(patch.len(), |span| span.bytes.start)];
    // What the file is to be is another than what this line says.
    for line in head.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"index ")) {
        into.extend_from_slice(line);
    }
    let mut shift = 0_i128;
    for span in chosen.iter().filter_map(|hunk| spans.get(*hunk)) {
        let (old, new) = (span.old, span.new);
        // An empty side is counted from the line before it.
        let moved = i128::from(old.0) + shift + i128::from(old.1 == 0) - i128::from(new.1 == 0);
        into.extend_from_slice(format!("@@ -{},{} +{},{} @@\n", old.0, old.1, moved.max(0), new.1).as_bytes());
        into.extend_from_slice(&patch[span.body..span.bytes.end]);
        shift += i128::from(new.1) - i128::from(old.1);
    }
}
