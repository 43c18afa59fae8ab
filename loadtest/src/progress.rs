//! The progress: what happens right now, once a second, on stderr.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::{nanos, seconds};
use crate::engine::Engine;
use crate::server::ServerProcess;
use crate::text::{bytes, count, micros, percent, rate};

/// Memory is sampled this often, so that short peaks are seen.
const SAMPLE: Duration = Duration::from_millis(250);

/// Samples per line.
const LINE: u32 = 4;

/// Samples between two looks at the kernel's table of connections. Reading it holds the generator up for some 6 ms: at
/// every sample that was 2 % of the time and made every p99 above it the generator's own. A reset is seen at once.
const LOOK: u32 = 10;

/// Where the lines go, and what the last one said.
#[derive(Debug)]
pub(crate) struct Progress {
    is_quiet: bool,
    /// On a terminal, one line that changes; otherwise one line after the other.
    bar: Option<ProgressBar>,
    stage: String,
    next_ns: u64,
    samples: u32,
    last_ns: u64,
    last_verified: u64,
    last_cpu_ns: u64,
}

impl Progress {
    /// Finds out where to write.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        let stage = String::new();
        Self { is_quiet, bar, stage, next_ns: 0, samples: 0, last_ns: 0, last_verified: 0, last_cpu_ns: 0 }
    }

    /// Names what is going on.
    pub(crate) fn stage(&mut self, stage: &str) {
        stage.clone_into(&mut self.stage);
    }

    /// Leaves the terminal to the report.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, line: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(line.to_owned());
                bar.tick();
            }
            // Nobody can be told that stderr is gone.
            None => drop(writeln!(std::io::stderr().lock(), "{line}")),
        }
    }
}

impl Engine {
    /// Samples and reports, when it is time to.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.now_ns();
        if now < self.progress.next_ns {
            return;
        }
        self.progress.next_ns = now + nanos(SAMPLE);
        self.progress.samples += 1;
        let is_line = self.progress.samples.is_multiple_of(LINE);
        self.watch.sample();
        if self.progress.samples.is_multiple_of(LOOK) {
            self.stalls.look(now);
        }
        if is_line && !self.progress.is_quiet {
            let line = self.line(now);
            self.progress.show(&line);
        }
    }

    fn line(&mut self, now: u64) -> String {
        let elapsed = seconds(self.progress.last_ns, now);
        let counts = self.tally.counts;
        let deliveries = (counts.verified - self.progress.last_verified) as f64 / elapsed;
        let latency = &self.tally.latency;
        let [p50, p99, max] =
            [latency.quantile(0.5), latency.quantile(0.99), latency.max()].map(|at| micros(nanos(at) / 1_000));
        let (connected, wanted) =
            (count((self.opened - self.closes.len()) as u64), count(self.config.connections() as u64));
        let mut line = format!(
            "{:>6.1}s {:<8} {connected}/{wanted} connected  {}/s delivered  p50 {p50}  p99 {p99}  max {max}  lost {}",
            seconds(0, now),
            self.progress.stage,
            rate(deliveries),
            count(counts.lost),
        );
        if let Some(cpu) = self.watch.server.as_mut().and_then(ServerProcess::cpu) {
            let share = seconds(self.progress.last_cpu_ns, cpu.total_ns) / elapsed;
            // Its first line would charge the server's whole life to one second.
            let share = if self.progress.last_cpu_ns == 0 { "?".to_owned() } else { percent(share) };
            line += &format!("  server {share} CPU, {}", bytes(self.watch.rss() as f64));
            self.progress.last_cpu_ns = cpu.total_ns;
        }
        (self.progress.last_ns, self.progress.last_verified) = (now, counts.verified);
        line
    }
}
