//! The timeline: one sample a second, from the workers' ticks and the server's process.

use crate::clock::{nanos, now_ns, seconds};
use crate::measure::histogram::Histogram;
use crate::observe::host::tcp_memory_bytes;
use crate::observe::server::ServerProcess;
use crate::observe::watch::Watch;
use crate::results::Sample;
use crate::worker::messages::Tick;
use std::time::Duration;

/// Time between two samples.
const SECOND: Duration = Duration::from_secs(1);

/// Ticks fall on whole seconds; this later, all of them have come.
const DELAY: Duration = Duration::from_millis(150);

/// The samples so far, and the state that the next one needs.
#[derive(Debug)]
pub(super) struct Timeline {
    started_ns: u64,
    due_ns: u64,
    stage: String,
    /// The newest of each worker.
    ticks: Vec<Tick>,
    latency: Histogram,
    /// Totals of the last sample.
    last_ns: u64,
    sent: u64,
    verified: u64,
    own_ns: Vec<u64>,
    server_cpu_ns: Option<u64>,
    samples: Vec<Sample>,
}

impl Timeline {
    pub(super) fn new(started_ns: u64, workers: usize) -> Self {
        Self {
            started_ns,
            due_ns: next(started_ns),
            stage: String::new(),
            ticks: vec![Tick::default(); workers],
            latency: Histogram::new(),
            last_ns: started_ns,
            sent: 0,
            verified: 0,
            own_ns: vec![0; workers],
            server_cpu_ns: None,
            samples: Vec::new(),
        }
    }

    /// Names the stage of the samples from now on.
    pub(super) fn stage(&mut self, name: &str) {
        name.clone_into(&mut self.stage);
    }

    /// Returns when the next sample is due.
    pub(super) const fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Takes a worker's tick.
    pub(super) fn hear(&mut self, worker: usize, tick: Tick) {
        self.latency.merge(&tick.latency);
        self.ticks[worker] = tick;
    }

    /// Returns seconds so far.
    pub(super) const fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns the samples so far.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Whether every worker has reported after `since_ns` that none of its clients is open.
    pub(super) fn is_empty_since(&self, since_ns: u64) -> bool {
        self.ticks.iter().all(|tick| tick.at_ns > since_ns && tick.open == 0)
    }

    /// Hands over all samples.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }

    /// Takes a sample and returns it.
    pub(super) fn sample(&mut self, watch: &mut Watch) -> Sample {
        let now = now_ns();
        self.due_ns = next(now);
        watch.sample();
        let elapsed = seconds(self.last_ns, now).max(1e-9);
        let total = |figure: fn(&Tick) -> u64| self.ticks.iter().map(figure).sum::<u64>();
        let (sent, verified) = (total(|tick| tick.sent), total(|tick| tick.verified));
        let own = self.ticks.iter().zip(&self.own_ns).map(|(tick, last)| seconds(*last, tick.own.run_ns) / elapsed);
        let cpu_ns = watch.server.as_mut().and_then(ServerProcess::cpu).map(|cpu| cpu.total_ns);
        let is_timed = self.latency.count() > 0;
        let quantile = |quantile| is_timed.then(|| nanos(self.latency.quantile(quantile)) / 1_000);
        let sample = Sample {
            at_s: seconds(self.started_ns, now),
            stage: self.stage.clone(),
            connected: total(|tick| tick.open as u64),
            sent_per_second: sent.saturating_sub(self.sent) as f64 / elapsed,
            deliveries_per_second: verified.saturating_sub(self.verified) as f64 / elapsed,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            max_us: is_timed.then(|| nanos(self.latency.max()) / 1_000),
            lost: total(|tick| tick.lost),
            // Without an earlier sample, the CPU time of the server's whole life would count for one second.
            server_cpu_share: self.server_cpu_ns.zip(cpu_ns).map(|(last, now)| seconds(last, now) / elapsed),
            server_rss: watch.server.as_ref().and_then(ServerProcess::rss_bytes),
            server_descriptors: watch.server.as_ref().and_then(ServerProcess::descriptors),
            kernel_tcp: tcp_memory_bytes(),
            generator_cpu_share: own.fold(0.0, f64::max),
        };
        self.own_ns = self.ticks.iter().map(|tick| tick.own.run_ns).collect();
        (self.last_ns, self.sent, self.verified, self.server_cpu_ns) = (now, sent, verified, cpu_ns);
        self.latency.reset();
        self.samples.push(sample.clone());
        sample
    }
}

fn next(now_ns: u64) -> u64 {
    (now_ns.saturating_sub(nanos(DELAY)) + 1).next_multiple_of(nanos(SECOND)) + nanos(DELAY)
}
