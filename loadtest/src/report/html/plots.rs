//! The points of the charts: samples, histograms and rounds as lines.

use super::named_report::NamedReport;
use crate::measure::histogram::Bucket;
use crate::report::chart::{Axis, Band, Line, Point, Scale, Series};
use crate::report::figures::Unit;
use crate::results::{Findings, Round, Sample};

/// A line in the colour of its run; of a run that is alone, in the colour of its quantity.
pub(super) fn series(
    runs: &[NamedReport<'_>],
    run: &NamedReport<'_>,
    colour: usize,
    name: &str,
    line: Line,
    points: Vec<Point>,
) -> Series {
    let name = name.to_owned();
    if runs.len() == 1 {
        return Series { group: String::new(), name, colour, line: Line::Solid, has_dots: false, points };
    }
    Series { group: run.name.to_owned(), name, colour: run.colour, line, has_dots: false, points }
}

/// Returns the axis of time that suits the longest of these runs, and how many of its units a second is.
pub(super) fn clock(runs: &[NamedReport<'_>]) -> (Axis, f64) {
    let ends = runs.iter().filter_map(|run| Some(run.report.results.timeline.last()?.at_s));
    let (title, scale) = match ends.fold(0.0, f64::max) {
        ..600.0 => ("seconds since the start", 1.0),
        ..10_800.0 => ("minutes since the start", 1.0 / 60.0),
        _ => ("hours since the start", 1.0 / 3600.0),
    };
    (Axis { title, scale: Scale::Linear, unit: Unit::Each }, scale)
}

/// Returns a quantity of each second, at the end of it.
pub(super) fn over_time(run: &NamedReport<'_>, scale: f64, read: impl Fn(&Sample) -> Option<f64>) -> Vec<Point> {
    run.report.results.timeline.iter().map(|sample| (sample.at_s * scale, read(sample))).collect()
}

/// Returns the stages; the measured phases among them are shaded.
pub(super) fn bands(results: &Findings, scale: f64) -> Vec<Band> {
    let mut from = 0.0;
    let stages = results.timeline.chunk_by(|a, b| a.stage == b.stage);
    stages
        .map(|stage| {
            let is_shaded = results.phases.iter().any(|phase| phase.name == stage[0].stage);
            let to = stage.last().map_or(from, |sample| sample.at_s * scale);
            let band = Band { from, to, label: stage[0].stage.clone(), is_shaded };
            from = to;
            band
        })
        .collect()
}

/// Returns the latency that each share of the deliveries did not exceed.
pub(super) fn spectrum(buckets: &[Bucket]) -> Vec<Point> {
    let total: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    // The slowest delivery is at 100 %, which has no place on this axis: it is drawn half a delivery before.
    let end = 1.0 - 0.5 / total.max(1) as f64;
    let mut seen = 0;
    let shares = buckets.iter().map(|bucket| {
        seen += bucket.count;
        let share = seen as f64 / total as f64;
        (share.min(end), Some(bucket.value_us.max(1) as f64))
    });
    let first = buckets.first().map(|bucket| (0.0, Some(bucket.value_us.max(1) as f64)));
    first.into_iter().chain(shares).collect()
}

/// Returns the share of the clients that were back, by seconds after the cut.
pub(super) fn returned(round: &Round) -> Vec<Point> {
    let mut back = 0;
    let buckets = round.returns.buckets.iter().map(|bucket| {
        back += bucket.count;
        (bucket.value_us as f64 / 1e6, Some(back as f64 / round.clients.max(1) as f64))
    });
    let has_any = !round.returns.buckets.is_empty();
    has_any.then_some((0.0, Some(0.0))).into_iter().chain(buckets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::histogram::Summary;
    use crate::results::Phase;

    #[test]
    fn stages_become_bands_without_gaps() {
        let sample = |at_s: f64, stage: &str| Sample { at_s, stage: stage.to_owned(), ..Sample::default() };
        let timeline = vec![sample(1.0, "connect"), sample(2.0, "calm"), sample(3.0, "calm"), sample(4.5, "drain")];
        let phases = vec![Phase { name: "calm".to_owned(), ..Phase::default() }];
        let bands = bands(&Findings { timeline, phases, ..Findings::default() }, 1.0);
        let edges: Vec<_> = bands.iter().map(|band| (band.from, band.to, band.is_shaded)).collect();
        assert_eq!(edges, [(0.0, 1.0, false), (1.0, 3.0, true), (3.0, 4.5, false)]);
    }

    #[test]
    fn spectrum_ends_before_everything() {
        let bucket = |value_us, count| Bucket { value_us, count };
        let points = spectrum(&[bucket(0, 1), bucket(200, 8), bucket(900, 1)]);
        assert_eq!(points, [(0.0, Some(1.0)), (0.1, Some(1.0)), (0.9, Some(200.0)), (0.95, Some(900.0))]);
        assert!(spectrum(&[]).is_empty());
    }

    #[test]
    fn clients_that_never_came_back_are_missing_at_the_end() {
        let buckets = vec![Bucket { value_us: 500_000, count: 3 }, Bucket { value_us: 2_000_000, count: 4 }];
        let round = Round { clients: 10, returns: Summary { buckets, ..Summary::default() }, ..Round::default() };
        assert_eq!(returned(&round), [(0.0, Some(0.0)), (0.5, Some(0.3)), (2.0, Some(0.7))]);
        assert!(returned(&Round::default()).is_empty());
    }
}
