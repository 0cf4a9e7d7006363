//! How far an agent is with what is tracked on a channel.

use crate::store::hub_subscriptions::HubSubscriptionRow;

/// So many places are written down. With more, the agent is taken to be no further than the last of them: it may then get
/// something twice, and nothing less than once.
pub(super) const MOST: usize = 256;

/// Up to which place everything is done with, and which places are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    acknowledged: i64,
    /// In order, none beyond `acknowledged`.
    open: Vec<i64>,
}

impl Progress {
    /// Everything up to here is done with.
    pub(super) const fn at(acknowledged: i64) -> Self {
        Self { acknowledged, open: Vec::new() }
    }

    /// Everything up to `acknowledged` is done with but for `open`.
    pub(super) fn new(acknowledged: i64, open: impl IntoIterator<Item = i64>) -> Self {
        let mut open: Vec<i64> = open.into_iter().filter(|seq| *seq <= acknowledged).collect();
        open.sort_unstable();
        open.dedup();
        match open.get(MOST) {
            Some(first_too_many) => Self { acknowledged: first_too_many - 1, open: open[..MOST].to_vec() },
            None => Self { acknowledged, open },
        }
    }

    /// The same for a channel that ends at `last`. What was remembered of another channel of that name means nothing.
    pub(super) fn up_to(self, last: i64) -> Self {
        if self.acknowledged > last { Self::at(last) } else { self }
    }

    /// As if nothing after `seq` were known.
    pub(super) fn capped(self, seq: i64) -> Self {
        Self::new(self.acknowledged.min(seq), self.open)
    }

    /// Whether this place is done with.
    pub(super) fn includes(&self, seq: i64) -> bool {
        seq <= self.acknowledged && self.open.binary_search(&seq).is_err()
    }

    pub(super) const fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    /// The places after `seq` that are open.
    pub(super) fn open_after(&self, seq: i64) -> impl Iterator<Item = i64> + '_ {
        self.open.iter().copied().filter(move |open| *open > seq)
    }

    /// Everything up to here is done with, without exception.
    pub(super) fn floor(&self) -> i64 {
        self.open.first().map_or(self.acknowledged, |first| first - 1)
    }

    pub(super) fn read(row: &HubSubscriptionRow) -> Self {
        let open = row.unacknowledged.as_deref().unwrap_or_default();
        Self::new(row.acknowledged_seq, open.split(',').filter_map(|seq| seq.parse().ok()))
    }

    pub(super) fn row(&self, agent_id: &str, channel: &str, now: i64) -> HubSubscriptionRow {
        let open: Vec<String> = self.open.iter().map(i64::to_string).collect();
        HubSubscriptionRow {
            agent_id: agent_id.to_owned(),
            channel: channel.to_owned(),
            acknowledged_seq: self.acknowledged,
            unacknowledged: (!open.is_empty()).then(|| open.join(",")),
            updated_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for progress in [Progress::at(0), Progress::at(7), Progress::new(20, [17, 3, 17])] {
            assert_eq!(Progress::read(&progress.row("a", "global", 1)), progress);
        }
        let row = Progress::new(20, [17, 3]).row("a", "global", 5);
        assert_eq!((row.acknowledged_seq, row.unacknowledged.as_deref()), (20, Some("3,17")));
    }

    #[test]
    fn what_is_open_is_not_done_with() {
        let progress = Progress::new(20, [17, 3, 25]);
        let done: Vec<i64> = (1..=25).filter(|seq| !progress.includes(*seq)).collect();
        assert_eq!(done, [3, 17, 21, 22, 23, 24, 25]);
        assert_eq!(progress.floor(), 2);
        assert_eq!(progress.open_after(3).collect::<Vec<_>>(), [17]);
        assert_eq!(progress.clone().capped(16), Progress::new(16, [3]));
        assert_eq!(progress.up_to(5), Progress::at(5), "the channel began anew");
    }

    #[test]
    fn too_much_that_is_open_costs_repetition_and_no_loss() {
        let progress = Progress::new(10_000, (1..=1_000).map(|index| index * 10));
        assert_eq!(progress.open.len(), MOST);
        assert!((1..=1_000).all(|index| !progress.includes(index * 10)));
        assert!(progress.includes(11));
    }
}
