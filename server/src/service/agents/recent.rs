//! What is remembered of a turn's calls: of the latest, and of no more than that.

use std::collections::VecDeque;

/// How many are remembered.
const MOST: usize = 64;

/// Values by the agent's name of them. A new one takes the place of the oldest when there are too many.
#[derive(Debug)]
pub(super) struct Recent<T>(VecDeque<(String, T)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The value of this name, which is made if there is none; and whether it is new.
    pub(super) fn find_or(&mut self, name: &str, new: impl FnOnce() -> T) -> (&mut T, bool) {
        let found = self.0.iter().position(|(other, _)| other == name);
        let at = found.unwrap_or_else(|| {
            if self.0.len() == MOST {
                self.0.pop_front();
            }
            self.0.push_back((name.to_owned(), new()));
            self.0.len() - 1
        });
        (&mut self.0[at].1, found.is_none())
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        self.0.remove(at).map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        for number in 0..=MOST {
            assert!(recent.find_or(&number.to_string(), || number).1);
        }
        assert_eq!((recent.get("0"), recent.get("1")), (None, Some(&1)));
        assert_eq!(recent.find_or("1", || 0), (&mut 1, false));
        assert_eq!(recent.remove("1"), Some(1));
        assert_eq!(recent.values_mut().count(), MOST - 1);
    }
}
