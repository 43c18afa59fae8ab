//! A phase: load for a warm-up and a measured window, a drain, and the figures of the window.
//!
//! Throughput and CPU are differences between the window's ends. Latency is that of the messages intended within the
//! window, however late they came, as long as the drain lasts. The accounting is that of the whole run, warm-up
//! included.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::clock::{nanos, seconds};
use crate::engine::Engine;
use crate::latency::Summary;
use crate::metrics::fetch;
use crate::server::Cpu;
use crate::source::{Schedule, Source};
use crate::watch::{Memory, Moment};

/// Listened to after everything has come: a duplicate of the last message would come now.
const AFTERMATH: Duration = Duration::from_millis(100);

/// How long a drain may take after Ctrl-C.
const DRAIN_INTERRUPTED: Duration = Duration::from_secs(1);

/// How often a drain counts what is missing; with 2,000 publishers that is 4 million comparisons.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// What drives the publishers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Messages per second, of all publishers together.
    Rate(f64),
    /// Messages under way.
    Window(u32),
}

/// The figures of one measured window.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) sent_per_second: f64,
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    /// From the intended send time to the read that brought the message. Every delivery counts.
    pub(crate) latency: Summary,
    /// From the intended send time to the write: the generator's own share of the latency.
    pub(crate) lateness: Summary,
    pub(crate) generator: GeneratorUse,
    pub(crate) server: Option<ServerUse>,
    pub(crate) memory_before: Memory,
    pub(crate) memory_after: Memory,
    pub(crate) server_rss_peak: u64,
    pub(crate) kernel_tcp_peak: u64,
    /// Share of all cores' time that the hypervisor gave to others.
    pub(crate) stolen_share: f64,
    /// From the server's own counters.
    pub(crate) sends_per_delivery: Option<f64>,
}

/// What the generator used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct GeneratorUse {
    /// Of one core.
    pub(crate) cpu_share: f64,
    /// Time it was ready to run and had no core.
    pub(crate) waiting_share: f64,
    pub(crate) cpu_us_per_delivery: f64,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerUse {
    /// Of one core; above 1 with several threads.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// Of its CPU time, that in user mode.
    pub(crate) user_share: f64,
}

/// One end of the window.
#[derive(Clone, Copy, Debug)]
struct Edge {
    at_ns: u64,
    sent: u64,
    verified: u64,
    moment: Moment,
}

impl Engine {
    fn edge(&mut self) -> Edge {
        let moment = self.watch.moment();
        Edge { at_ns: self.clock.now_ns(), sent: self.sent_total(), verified: self.tally.counts.verified, moment }
    }

    /// Runs a phase.
    ///
    /// # Errors
    ///
    /// Fails when the server breaks the protocol.
    pub(crate) fn measure(&mut self, name: &'static str, load: Load, warmup: Duration) -> Result<Phase> {
        let memory_before = self.watch.memory();
        let start = self.clock.now_ns();
        let opening = start + nanos(warmup);
        let end = opening + nanos(self.config.duration);
        self.source = match load {
            Load::Rate(rate) => Source::Clock(Schedule::new(start, end, rate, self.sent.len())),
            Load::Window(window) => Source::Window(window),
        };
        self.progress.stage("warm-up");
        self.run_until(opening)?;

        self.progress.stage(name);
        self.watch.take_peaks();
        self.tally.timed_from_ns = opening;
        self.tally.latency.reset();
        self.lateness.reset();
        let metrics = self.config.server_metrics.clone();
        let counters_before = metrics.as_ref().map(fetch);
        let before = self.edge();
        self.run_until(end)?;
        let after = self.edge();
        let counters_after = metrics.as_ref().map(fetch);

        self.progress.stage("drain");
        self.drain()?;
        let (server_rss_peak, kernel_tcp_peak) = self.watch.take_peaks();
        let counters = |thread: Option<std::thread::JoinHandle<_>>| thread?.join().ok()?;
        let counters = counters(counters_before).zip(counters(counters_after));
        let counters =
            counters.map(|(before, after)| (after.sends - before.sends) / (after.deliveries - before.deliveries));
        Ok(Phase {
            latency: self.tally.latency.summary(),
            lateness: self.lateness.summary(),
            memory_before,
            memory_after: self.watch.memory(),
            server_rss_peak,
            kernel_tcp_peak,
            sends_per_delivery: counters.filter(|sends| sends.is_finite()),
            ..Phase::between(name, &before, &after)
        })
    }

    /// Waits until nothing is under way any more, at most as long as the configuration says.
    fn drain(&mut self) -> Result<()> {
        // What was due in the last instant, and what a full socket held back, is still sent; a closed loop just ends.
        if matches!(self.source, Source::Window(_)) || self.is_interrupted() {
            self.source = Source::Silent;
        }
        let limit = if self.is_interrupted() { self.config.drain.min(DRAIN_INTERRUPTED) } else { self.config.drain };
        let give_up = self.clock.now_ns() + nanos(limit);
        let mut until = self.clock.now_ns();
        while until < give_up && (self.missing(true) > 0 || self.source.due_ns() != u64::MAX) {
            until += nanos(DRAIN_LOOK);
            while self.clock.now_ns() < until {
                self.turn(until)?;
            }
        }
        self.source = Source::Silent;
        let end = self.clock.now_ns() + nanos(AFTERMATH);
        while self.clock.now_ns() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Messages that were sent and have not come: to clients that are open, or to those that the server closed. Stalled
    /// clients are in neither.
    pub(crate) fn missing(&self, is_open: bool) -> u64 {
        let stalled = if self.stalls.is_begun() { self.config.stalled() } else { 0 };
        let clients = self.clients.iter().take(self.clients.len() - stalled).enumerate();
        clients
            .filter(|(_, client)| client.is_open() == is_open)
            .map(|(index, _)| self.tally.missing(index, &self.sent))
            .sum()
    }
}

impl Phase {
    /// Computes what is a difference between the window's ends; the rest is empty.
    fn between(name: &'static str, before: &Edge, after: &Edge) -> Self {
        let seconds_between = seconds(before.at_ns, after.at_ns).max(1e-9);
        let share = |from_ns, to_ns| seconds(from_ns, to_ns) / seconds_between;
        let (sent, deliveries) = (after.sent - before.sent, after.verified - before.verified);
        let per_delivery = |from_ns, to_ns| match deliveries {
            0 => 0.0,
            _ => seconds(from_ns, to_ns) * 1e6 / deliveries as f64,
        };
        let (own, own_after) = (before.moment.own, after.moment.own);
        let (stolen, stolen_after) = (before.moment.stolen, after.moment.stolen);
        let server = |(before, after): (Cpu, Cpu)| {
            let user = after.user_ticks.saturating_sub(before.user_ticks) as f64;
            let system = after.system_ticks.saturating_sub(before.system_ticks) as f64;
            ServerUse {
                cpu_share: share(before.total_ns, after.total_ns),
                cpu_us_per_delivery: per_delivery(before.total_ns, after.total_ns),
                user_share: user / (user + system).max(1.0),
            }
        };
        Self {
            name,
            seconds: seconds_between,
            sent,
            sent_per_second: sent as f64 / seconds_between,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds_between,
            generator: GeneratorUse {
                cpu_share: share(own.run_ns, own_after.run_ns),
                waiting_share: share(own.wait_ns, own_after.wait_ns),
                cpu_us_per_delivery: per_delivery(own.run_ns, own_after.run_ns),
            },
            server: before.moment.server.zip(after.moment.server).map(server),
            stolen_share: (stolen_after.0 - stolen.0) as f64 / (stolen_after.1.saturating_sub(stolen.1)).max(1) as f64,
            ..Self::default()
        }
    }
}
