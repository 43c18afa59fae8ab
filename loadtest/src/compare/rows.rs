//! Rows: each figure of a comparison, with a spread per server.

use super::generator::RunOutcome;
use super::rounds::Comparison;
use super::stats::{Spread, Standing};
use crate::report::figures::{Better, Figure, OF_PHASE, OF_RUN, Unit};

/// Rows that are shown even if all values are 0: that no message was lost is a finding.
const ALWAYS_SHOWN: [&str; 2] = ["lost", "closed"];

/// A figure of all servers.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) unit: Unit,
    better: Better,
    /// Of each server, in the order of the plan; absent where no run has the figure.
    pub(super) spreads: Vec<Option<Spread>>,
}

impl Row {
    /// Returns a server's median as a multiple of the first server's.
    pub(super) fn ratio(&self, server: usize) -> Option<f64> {
        let (own, base) = self.pair(server)?;
        own.ratio(&base)
    }

    /// Returns how a server compares with the first one.
    pub(super) fn standing(&self, server: usize) -> Option<Standing> {
        let (own, base) = self.pair(server)?;
        own.standing(&base, self.better)
    }

    /// Returns the first server is not compared with itself.
    fn pair(&self, server: usize) -> Option<(Spread, Spread)> {
        if server == 0 { None } else { self.spreads[server].zip(self.spreads[0]) }
    }

    fn is_zero(&self) -> bool {
        self.spreads.iter().flatten().all(|spread| spread.min == 0.0 && spread.max == 0.0)
    }
}

/// Returns every figure that any server has, in the order of a report.
pub(super) fn rows(comparison: &Comparison<'_>) -> Vec<Row> {
    let of_phase = OF_PHASE.iter().map(|figure| row(comparison, figure));
    let of_run = OF_RUN.iter().map(|figure| row(comparison, figure));
    let rows = of_phase.chain(of_run).filter(|row| row.spreads.iter().any(Option::is_some));
    rows.filter(|row| ALWAYS_SHOWN.contains(&row.key) || !row.is_zero()).collect()
}

fn row<T>(comparison: &Comparison<'_>, figure: &Figure<T>) -> Row {
    let Figure { key, label, unit, better, .. } = *figure;
    // Between different loads nothing is better or worse.
    let better = if comparison.plan.has_different_loads() { Better::Neither } else { better };
    let spread = |runs: &Vec<RunOutcome>| Spread::of(runs.iter().filter_map(|run| Some(run.figure(key)?.value)));
    Row { key, label, unit, better, spreads: comparison.runs.iter().map(spread).collect() }
}
