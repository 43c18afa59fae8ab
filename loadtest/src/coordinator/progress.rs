//! The progress: what happens now, once a second, on stderr. A terminal shows one line that changes, other outputs get
//! a line each.

use crate::clock::{nanos, now_ns, seconds};
use crate::results::Sample;
use crate::units::{bytes, count, micros, percent, rate};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The output, and the current stage.
#[derive(Debug)]
pub(super) struct Progress {
    is_quiet: bool,
    bar: Option<ProgressBar>,
    stage: String,
    stage_since_ns: u64,
}

impl Progress {
    /// Returns the progress line of stderr: a bar if that is a terminal.
    pub(super) fn new(is_quiet: bool) -> Self {
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length);
        Self { is_quiet, bar, stage: String::new(), stage_since_ns: now_ns() }
    }

    /// Begins a stage. The bar fills up in `length`; without one it spins.
    pub(super) fn stage(&mut self, stage: &str, length: Option<Duration>) {
        stage.clone_into(&mut self.stage);
        self.stage_since_ns = now_ns();
        let Some(bar) = &self.bar else { return };
        let template = if length.is_some() {
            "{spinner} {prefix:<9} {bar:16.cyan/dim} {wide_msg}"
        } else {
            "{spinner} {prefix:<26} {wide_msg}"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_prefix(self.stage.clone());
        bar.set_length(length.map_or(0, |length| nanos(length) / 1_000_000));
        bar.set_position(0);
        bar.tick();
    }

    /// Removes the progress line, to make room for the report.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows a sample.
    pub(super) fn show(&self, sample: &Sample, wanted: usize) {
        if self.is_quiet {
            return;
        }
        let line = line(sample, wanted);
        match &self.bar {
            Some(bar) => {
                bar.set_position(now_ns().saturating_sub(self.stage_since_ns) / 1_000_000);
                bar.set_message(line);
                bar.tick();
            }
            None => {
                // If stderr is closed there is no other place to write to.
                let at = seconds(0, nanos(Duration::from_secs_f64(sample.at_s)));
                drop(writeln!(std::io::stderr().lock(), "{at:>6.1}s {:<8} {line}", self.stage));
            }
        }
    }
}

/// Returns the figures of a sample that fit a line.
fn line(sample: &Sample, wanted: usize) -> String {
    let mut line = format!("{}/{} connected", count(sample.connected), count(wanted as u64));
    if sample.deliveries_per_second > 0.0 || sample.p50_us.is_some() {
        line += &format!("  {}/s delivered", rate(sample.deliveries_per_second));
    }
    if let (Some(p50), Some(p99), Some(max)) = (sample.p50_us, sample.p99_us, sample.max_us) {
        line += &format!("  p50 {}  p99 {}  max {}", micros(p50), micros(p99), micros(max));
    }
    line += &format!("  lost {}", count(sample.lost));
    if let (Some(cpu), Some(rss)) = (sample.server_cpu_share, sample.server_rss) {
        line += &format!("  server {} CPU, {}", percent(cpu), bytes(rss as f64));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_what_there_is() {
        let quiet = Sample { connected: 900, ..Sample::default() };
        assert_eq!(line(&quiet, 1000), "900/1,000 connected  lost 0");
        let busy = Sample {
            connected: 1000,
            deliveries_per_second: 20_000.0,
            p50_us: Some(900),
            p99_us: Some(2_000),
            max_us: Some(12_000),
            server_cpu_share: Some(0.5),
            server_rss: Some(3 << 20),
            ..Sample::default()
        };
        let expected = "1,000/1,000 connected  20,000/s delivered  p50 900 µs  p99 2.00 ms  max 12.0 ms  lost 0  \
                        server 50.0 % CPU, 3.0 MiB";
        assert_eq!(line(&busy, 1000), expected);
    }
}
