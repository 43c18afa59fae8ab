//! A spread: median and range of several runs of one server, and how they compare with another's.

use crate::report::figures::Better;
use serde::Serialize;

/// The middle and the ends of a figure's values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Values it was made of: runs that had the figure.
    pub(super) runs: usize,
}

/// How a server's figure compares with the first server's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    Better,
    Worse,
    /// The spreads overlap: another round might turn it around.
    Alike,
}

impl Spread {
    /// Returns the spread of some values; nothing if there are none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let runs = values.len();
        // Of an even number, the middle of the two in the middle.
        let median = f64::midpoint(values[(runs - 1) / 2], values[runs / 2]);
        Some(Self { median, min, max, runs })
    }

    /// Returns this median as a multiple of the base's; nothing if that has no meaning.
    pub(super) fn ratio(&self, base: &Self) -> Option<f64> {
        if self.median == base.median {
            return Some(1.0);
        }
        (base.median > 0.0 && self.median >= 0.0).then(|| self.median / base.median)
    }

    /// Judges the difference to the base; nothing if the figure has no good direction, or there is only one run each.
    pub(super) fn standing(&self, base: &Self, better: Better) -> Option<Standing> {
        let is_higher_better = match better {
            Better::Higher => true,
            Better::Lower => false,
            Better::Neither => return None,
        };
        if self.runs < 2 || base.runs < 2 {
            return None;
        }
        if self.min <= base.max && base.min <= self.max {
            return Some(Standing::Alike);
        }
        let is_better = (self.median > base.median) == is_higher_better;
        Some(if is_better { Standing::Better } else { Standing::Worse })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0, runs: 3 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 100.0]), Spread { median: 3.0, min: 1.0, max: 100.0, runs: 4 });
        assert_eq!(spread(&[5.0]).median, 5.0);
        assert_eq!(spread(&[-3.0, 1.0]).median, -1.0);
    }

    #[test]
    fn absent_figures_have_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratio_is_to_the_base_and_may_have_no_meaning() {
        let (one, two, none) = (spread(&[1.0]), spread(&[2.0]), spread(&[0.0]));
        assert_eq!(two.ratio(&one), Some(2.0));
        assert_eq!(one.ratio(&two), Some(0.5));
        assert_eq!(none.ratio(&two), Some(0.0));
        assert_eq!(two.ratio(&none), None, "no multiple of nothing");
        assert_eq!(none.ratio(&none), Some(1.0));
        assert_eq!(spread(&[-1.0]).ratio(&two), None, "growth and shrinkage have no ratio");
    }

    #[test]
    fn direction_decides_what_is_better() {
        let (low, high) = (spread(&[1.0, 2.0]), spread(&[3.0, 4.0]));
        assert_eq!(high.standing(&low, Better::Higher), Some(Standing::Better));
        assert_eq!(high.standing(&low, Better::Lower), Some(Standing::Worse));
        assert_eq!(low.standing(&high, Better::Higher), Some(Standing::Worse));
        assert_eq!(low.standing(&high, Better::Lower), Some(Standing::Better));
        assert_eq!(high.standing(&low, Better::Neither), None);
    }

    /// Medians differ in any two sets of runs; a comparison that calls that a win is worthless.
    #[test]
    fn overlapping_spreads_are_alike() {
        let (low, high) = (spread(&[1.0, 2.0, 3.5]), spread(&[3.0, 4.0, 5.0]));
        assert_eq!(high.standing(&low, Better::Higher), Some(Standing::Alike));
        assert_eq!(low.standing(&high, Better::Lower), Some(Standing::Alike));
        assert_eq!(spread(&[9.0]).standing(&low, Better::Higher), None, "one run has no spread");
    }
}
