//! Which changes a person wants, hunk by hunk, as `git add -p` asks. Nothing is shown or read here.

use flightdeck_sdk::types::{FilePatch, HunkSelection, PatchSet};

/// What a person says about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// This one, and what is left of its file.
    All,
    /// Neither this one, nor what is left of its file.
    Done,
    /// Neither this one, nor anything that is left.
    Quit,
}

impl Answer {
    /// Reads what a person typed.
    pub(super) fn read(line: &str) -> Option<Self> {
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(Self::Yes),
            "n" | "no" => Some(Self::No),
            "a" => Some(Self::All),
            "d" => Some(Self::Done),
            "q" => Some(Self::Quit),
            _ => None,
        }
    }
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Chosen {
    Nothing,
    /// Said without naming any: an empty selection stands for all.
    Everything,
    Some(Vec<HunkSelection>),
}

/// A change that is asked about: one of a file's hunks, or the whole file where it has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change<'p> {
    pub(super) file: &'p FilePatch,
    /// Counted from 0.
    pub(super) hunk: Option<usize>,
}

/// A review that goes on.
#[derive(Debug)]
pub(super) struct Review<'p> {
    patches: &'p [FilePatch],
    /// By file and hunk: what was said so far.
    wanted: Vec<Vec<Option<bool>>>,
}

impl<'p> Review<'p> {
    pub(super) fn new(set: &'p PatchSet) -> Self {
        // A file without hunks is binary, renamed, or empty: it is taken or left as a whole.
        let wanted = set.patches.iter().map(|file| vec![None; file.hunks.len().max(1)]).collect();
        Self { patches: &set.patches, wanted }
    }

    /// What is to be asked about next.
    pub(super) fn next(&self) -> Option<Change<'p>> {
        let (file, hunk) = self.place()?;
        let file = self.patches.get(file)?;
        Some(Change { file, hunk: (!file.hunks.is_empty()).then_some(hunk) })
    }

    fn place(&self) -> Option<(usize, usize)> {
        let open = |hunks: &Vec<Option<bool>>| hunks.iter().position(Option::is_none);
        self.wanted.iter().enumerate().find_map(|(file, hunks)| Some((file, open(hunks)?)))
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let Some((file, hunk)) = self.place() else { return };
        let wanted = matches!(answer, Answer::Yes | Answer::All);
        let left = self.wanted.iter_mut().skip(file).flatten().filter(|said| said.is_none());
        let in_file = self.patches.get(file).map_or(1, |file| file.hunks.len().max(1));
        let count = match answer {
            Answer::Yes | Answer::No => 1,
            Answer::All | Answer::Done => in_file - hunk,
            Answer::Quit => usize::MAX,
        };
        left.take(count).for_each(|said| *said = Some(wanted));
    }

    pub(super) fn chosen(&self) -> Chosen {
        let (mut selected, mut everything) = (Vec::new(), true);
        for (file, hunks) in self.patches.iter().zip(&self.wanted) {
            let wanted: Vec<u64> =
                (0..).zip(hunks).filter(|(_, said)| **said == Some(true)).map(|(at, _)| at).collect();
            let whole = wanted.len() == hunks.len();
            everything &= whole;
            if !wanted.is_empty() {
                // As a whole, so that its name and mode change with it.
                selected.push(HunkSelection::new(file.file.clone(), if whole { Vec::new() } else { wanted }));
            }
        }
        match (selected.is_empty(), everything) {
            (true, _) => Chosen::Nothing,
            (false, true) => Chosen::Everything,
            (false, false) => Chosen::Some(selected),
        }
    }
}

#[cfg(test)]
mod tests {
    use flightdeck_sdk::types::{PatchHunk, PatchType};

    use super::*;

    /// Files with so many hunks each.
    fn set(hunks: &[usize]) -> PatchSet {
        let hunk = || PatchHunk::new(1, 1, 1, 1, vec!["-a".into(), "+b".into()]);
        let file = |(number, count): (usize, &usize)| {
            let hunks = (0..*count).map(|_| hunk()).collect();
            FilePatch::new(format!("file-{number}"), PatchType::Modified, *count == 0, "", "", hunks)
        };
        PatchSet::new("base", "digest", hunks.iter().enumerate().map(file).collect())
    }

    /// What comes of these answers, and how many changes are left to be asked about.
    fn chosen(hunks: &[usize], answers: &str) -> (Chosen, bool) {
        let set = set(hunks);
        let mut review = Review::new(&set);
        for answer in answers.split(' ').filter(|answer| !answer.is_empty()) {
            assert!(review.next().is_some(), "nothing is left for {answer}");
            review.answer(Answer::read(answer).expect("is an answer"));
        }
        (review.chosen(), review.next().is_some())
    }

    fn some(files: &[(&str, &[u64])]) -> Chosen {
        Chosen::Some(files.iter().map(|(file, hunks)| HunkSelection::new(*file, hunks.to_vec())).collect())
    }

    #[test]
    fn each_hunk_is_asked_about_once() {
        assert_eq!(chosen(&[2, 1], "y n y"), (some(&[("file-0", &[0]), ("file-1", &[])]), false));
        assert_eq!(chosen(&[2, 1], "n y"), (some(&[("file-0", &[1])]), true));
    }

    #[test]
    fn nothing_and_everything_are_never_taken_for_each_other() {
        assert_eq!(chosen(&[2, 1], "n n n"), (Chosen::Nothing, false));
        assert_eq!(chosen(&[2, 1], "q"), (Chosen::Nothing, false));
        assert_eq!(chosen(&[2, 1], "d d"), (Chosen::Nothing, false));
        assert_eq!(chosen(&[2, 1], "y y y"), (Chosen::Everything, false));
        assert_eq!(chosen(&[2, 1], "a a"), (Chosen::Everything, false));
        assert_eq!(chosen(&[], ""), (Chosen::Nothing, false));
    }

    #[test]
    fn the_rest_of_a_file_is_taken_or_left_at_once() {
        assert_eq!(chosen(&[3, 2], "n a n y"), (some(&[("file-0", &[1, 2]), ("file-1", &[1])]), false));
        assert_eq!(chosen(&[3, 2], "y d a"), (some(&[("file-0", &[0]), ("file-1", &[])]), false));
        assert_eq!(chosen(&[3, 2], "y y q"), (some(&[("file-0", &[0, 1])]), false));
    }

    #[test]
    fn a_file_without_hunks_is_one_change() {
        assert_eq!(chosen(&[0, 1], "y n"), (some(&[("file-0", &[])]), false));
        let set = set(&[0]);
        assert_eq!(Review::new(&set).next().map(|change| change.hunk), Some(None));
    }

    #[test]
    fn what_is_no_answer_is_asked_again() {
        assert_eq!(Answer::read(" Y "), Some(Answer::Yes));
        for wrong in ["", "?", "yy", "y please"] {
            assert_eq!(Answer::read(wrong), None, "{wrong:?}");
        }
    }
}
