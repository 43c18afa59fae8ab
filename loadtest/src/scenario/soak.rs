//! Soak: does anything grow with time.
//!
//! A long, even load; straight lines through the samples of its window show how fast memory and descriptors grow. A
//! slope needs time: what grows by less than a page in the window is not seen.

use crate::coordinator::Coordinator;
use crate::results::{Sample, Soak};
use crate::worker::messages::Drive;
use anyhow::Result;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// Connects all clients, applies the load, and fits the lines.
pub(super) fn run(run: &mut Coordinator, rate: f64) -> Result<()> {
    run.connect_all()?;
    run.measure_load("soak", Drive::Rate(rate))?;
    let samples: Vec<_> = run.samples().iter().filter(|sample| sample.stage == "soak").cloned().collect();
    let line = |figure: fn(&Sample) -> Option<f64>| {
        slope(samples.iter().filter_map(|sample| Some((sample.at_s, figure(sample)?)))).map(|slope| slope * HOUR)
    };
    run.findings.soak = Some(Soak {
        rss_bytes_per_hour: line(|sample| sample.server_rss.map(|rss| rss as f64)),
        descriptors_per_hour: line(|sample| sample.server_descriptors.map(|descriptors| descriptors as f64)),
        kernel_tcp_bytes_per_hour: line(|sample| Some(sample.kernel_tcp as f64)).unwrap_or_default(),
        p99_us_per_hour: line(|sample| sample.p99_us.map(|p99| p99 as f64)),
    });
    Ok(())
}

/// Returns the slope of the straight line that fits best (least squares); nothing of fewer than two points.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let points: Vec<_> = points.collect();
    let len = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|(x, _)| x).sum::<f64>() / len, points.iter().map(|(_, y)| y).sum::<f64>() / len);
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_is_found_in_spite_of_noise() {
        let noisy = (0..100).map(|x| (f64::from(x), 5.0 + 3.0 * f64::from(x) + if x % 2 == 0 { 1.0 } else { -1.0 }));
        assert!((slope(noisy).unwrap() - 3.0).abs() < 0.01);
        assert_eq!(slope([(1.0, 2.0)].into_iter()), None);
    }
}
