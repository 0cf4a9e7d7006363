//! Medians and percentiles.

use std::time::Duration;

/// Several takes of one figure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Takes(Vec<f64>);

impl Takes {
    pub(crate) fn push(&mut self, take: f64) {
        let place = self.0.partition_point(|other| *other < take);
        self.0.insert(place, take);
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

impl From<f64> for Takes {
    fn from(take: f64) -> Self {
        Self(vec![take])
    }
}

/// The value below which `share` of the durations lie, in milliseconds.
pub(crate) fn percentile(durations: &mut [Duration], share: f64) -> f64 {
    if durations.is_empty() {
        return f64::NAN;
    }
    let place = ((durations.len() as f64 * share).ceil() as usize).clamp(1, durations.len()) - 1;
    let (_, value, _) = durations.select_nth_unstable(place);
    value.as_secs_f64() * 1_000.0
}
