//! A measured window: load for a warm-up and a window, a drain, and the figures of the window.
//!
//! Throughput and CPU are differences between the window's ends. Latency is that of the messages intended within the
//! window, however late they came, as long as the drain lasts. The accounting is that of the whole run, warm-up
//! included.

use super::run::Coordinator;
use crate::clock::{nanos, now_ns, seconds};
use crate::measure::histogram::{Histogram, Summary};
use crate::observe::metrics::{Counters, fetch};
use crate::observe::server::ServerProcess;
use crate::observe::syscalls::Count;
use crate::observe::watch::Moment;
use crate::results::{ApiAnswers, Churn, GeneratorUse, Phase, Recovery, ServerUse};
use crate::worker::messages::{Drive, Edge, Event, Loaded, Recoveries, Request, TimedLoad};
use anyhow::Result;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time for the request to reach the workers before the load begins.
const HEADSTART: Duration = Duration::from_millis(50);

/// System calls are not counted at the very end of the window, so that the count is over when the window is.
const COUNT_MARGIN: Duration = Duration::from_millis(500);

/// A window to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) name: &'static str,
    pub(crate) drive: Drive,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// Connections that come and go per second.
    pub(crate) churn_rate: f64,
    /// Time from its opening within which the clients that left return; 0 if they stay away.
    pub(crate) return_within: Duration,
}

impl Window {
    /// Returns a window in which no client comes or goes.
    pub(crate) const fn new(name: &'static str, drive: Drive, warmup: Duration, duration: Duration) -> Self {
        Self { name, drive, warmup, duration, churn_rate: 0.0, return_within: Duration::ZERO }
    }
}

/// The counters that the coordinator itself reads at one end of the window.
#[derive(Debug)]
struct Counted {
    moment: Moment,
    counters: Option<JoinHandle<Option<Counters>>>,
}

impl Coordinator {
    /// Measures a window, with the run's own warm-up and duration.
    ///
    /// # Errors
    ///
    /// As [`Self::measure`].
    pub(crate) fn measure_load(&mut self, name: &'static str, drive: Drive) -> Result<()> {
        let (warmup, duration) = (self.config.warmup, self.config.duration);
        let phase = self.measure(&Window::new(name, drive, warmup, duration))?;
        self.findings.phases.push(phase);
        Ok(())
    }

    /// Measures a window.
    ///
    /// # Errors
    ///
    /// Fails when the server breaks the protocol, or closes all connections.
    pub(crate) fn measure(&mut self, window: &Window) -> Result<Phase> {
        let memory_before = self.watch.memory();
        let start_ns = now_ns() + nanos(HEADSTART);
        let open_ns = start_ns + nanos(window.warmup);
        let end_ns = open_ns + nanos(window.duration);
        self.held_since_ns = Some(start_ns);
        self.send(&Request::Load(TimedLoad {
            drive: window.drive,
            start_ns,
            open_ns,
            end_ns,
            patience_ns: nanos(self.config.drain),
            churn_rate: window.churn_rate,
            return_ns: nanos(window.return_within),
        }))?;
        self.stage("warm-up", Some(window.warmup));
        self.run_until(open_ns)?;
        self.stage(window.name, Some(window.duration));
        self.watch.take_peaks();
        let before = self.counted();
        let count = self.count_syscalls(window.duration);
        self.run_until(end_ns)?;
        let after = self.counted();
        let loaded = self.loaded()?;
        self.held_since_ns = None;
        self.stage("drain", None);
        let (latency, first, last) = self.drain()?;
        let (server_rss_peak, kernel_tcp_peak) = self.watch.take_peaks();
        let mut phase = Phase {
            latency: latency.summary(),
            first,
            last,
            lateness: Histogram::merged(loaded.iter().map(|loaded| &loaded.lateness)).summary(),
            memory_before,
            memory_after: self.watch.memory(),
            server_rss_peak,
            kernel_tcp_peak,
            ..between(window.name, &loaded, &before.moment, &after.moment)
        };
        phase.api = api_answers(&loaded, phase.seconds);
        phase.syscalls_per_delivery = count.and_then(Count::per_second).map(|rate| rate / phase.deliveries_per_second);
        add_counters(&mut phase, before, after);
        if window.churn_rate > 0.0 {
            self.note_arrivals(window, &loaded, &phase);
        }
        if !window.return_within.is_zero() {
            self.note_returns(&loaded)?;
        }
        if let Err(gone) = self.check_gone() {
            // The figures until then are reported too.
            self.findings.phases.push(phase);
            return Err(gone);
        }
        Ok(phase)
    }

    fn counted(&mut self) -> Counted {
        Counted { moment: self.watch.moment(), counters: self.config.server_metrics.as_ref().map(fetch) }
    }

    fn count_syscalls(&self, duration: Duration) -> Option<Count> {
        let server = self.watch.server.as_ref().filter(|_| self.config.server_syscalls)?;
        Count::begin(&ServerProcess::pids(server), duration.saturating_sub(COUNT_MARGIN).max(COUNT_MARGIN))
    }

    /// Waits until the workers have sent everything, and adds up what they sent.
    fn loaded(&mut self) -> Result<Vec<Loaded>> {
        let mut all = Vec::new();
        let mut sent = vec![0; self.sent.len()];
        for loaded in self.answers(Event::loaded)? {
            // A publisher belongs to one worker; the others report 0.
            sent.iter_mut().zip(&loaded.sent).for_each(|(sum, part)| *sum += part);
            all.push(loaded);
        }
        self.sent = sent;
        Ok(all)
    }

    /// Waits until no message is in flight, at most as long as the configuration allows.
    fn drain(&mut self) -> Result<(Histogram, Option<Summary>, Option<Summary>)> {
        let patience_ns = nanos(self.config.drain);
        let (mut parts, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
        (self.lost, self.closed) = (0, 0);
        let mut open = 0;
        for drained in self.ask(&Request::Drain { sent: self.sent.clone(), patience_ns }, Event::drained)? {
            self.lost += drained.lost;
            self.closed += drained.closed;
            open += drained.open;
            fold(&mut first, &drained.first_us, u32::MAX, u32::min);
            fold(&mut last, &drained.last_us, 0, u32::max);
            parts.push(drained.latency);
        }
        // Ticks carry the same number, but only once a second.
        self.is_gone |= open == 0;
        // A message that reached no client has neither; it is counted as lost.
        let reached = |micros: &&u32| **micros != u32::MAX;
        let first = summary(first.iter().filter(reached));
        let last = summary(last.iter().filter(|micros| **micros > 0));
        Ok((Histogram::merged(&parts), first, last))
    }

    /// Records the returns of the clients that had left in the findings.
    fn note_returns(&mut self, loaded: &[Loaded]) -> Result<()> {
        let parts: Vec<_> = loaded.iter().filter_map(|loaded| loaded.returned.as_ref()).collect();
        let returns = Histogram::merged(parts.iter().map(|part| &part.returns));
        let left = parts.iter().map(|part| part.clients).sum();
        let sum = |figure: fn(&Recoveries) -> u64| loaded.iter().map(|loaded| figure(&loaded.recoveries)).sum();
        self.findings.recovery = Some(Recovery {
            stayed: self.config.connections() - self.config.load.leavers(),
            left,
            back: usize::try_from(returns.count())?,
            back_99_s: time_of(&returns, left, 99),
            back_100_s: time_of(&returns, left, 100),
            returns: returns.summary(),
            attempts: parts.iter().map(|part| part.attempts).sum(),
            recovered: sum(|recoveries| recoveries.complete),
            incomplete: sum(|recoveries| recoveries.incomplete),
            lines: sum(|recoveries| recoveries.lines),
            ..Recovery::default()
        });
        Ok(())
    }

    /// Records the arrivals in the findings.
    fn note_arrivals(&mut self, window: &Window, loaded: &[Loaded], phase: &Phase) {
        let arrivals: u64 = loaded.iter().map(|loaded| loaded.arrivals).sum();
        let growth = phase.memory_after.server_rss as f64 - phase.memory_before.server_rss as f64;
        let is_known = phase.memory_after.server_rss > 0 && arrivals > 0;
        // They come and go in the warm-up too, if there is one.
        let length_s = phase.seconds + window.warmup.as_secs_f64();
        self.findings.churn = Some(Churn {
            stayed: self.config.connections() - self.config.load.churners(),
            arrivals,
            arrivals_per_second: arrivals as f64 / length_s.max(1e-9),
            handshake: Histogram::merged(loaded.iter().map(|loaded| &loaded.arrival_handshake)).summary(),
            server_rss_per_arrival: is_known.then(|| growth / arrivals as f64),
        });
    }
}

/// Returns the answers of the API to all workers, if they publish through it.
fn api_answers(loaded: &[Loaded], window_s: f64) -> Option<ApiAnswers> {
    let parts: Vec<_> = loaded.iter().filter_map(|loaded| loaded.api.as_ref()).collect();
    let answers: u64 = parts.iter().map(|part| part.answers).sum();
    let accepted: u64 = parts.iter().map(|part| part.accepted).sum();
    (!parts.is_empty()).then(|| ApiAnswers {
        answers_per_second: answers as f64 / window_s,
        accepted_per_second: accepted as f64 / window_s,
        batch: accepted as f64 / answers.max(1) as f64,
        answer_time: Histogram::merged(parts.iter().map(|part| &part.answer_time)).summary(),
    })
}

/// Returns after which time a share of all `clients` was back, in seconds; nothing if it never was.
pub(crate) fn time_of(returns: &Histogram, clients: usize, percent: usize) -> Option<f64> {
    let back = returns.count() as f64;
    let wanted = (clients * percent).div_ceil(100) as f64;
    (clients > 0 && back >= wanted).then(|| returns.quantile(wanted / back).as_secs_f64())
}

/// Merges a worker's figures by message into those of all.
fn fold(all: &mut Vec<u32>, part: &[u32], nothing: u32, choose: fn(u32, u32) -> u32) {
    all.resize(all.len().max(part.len()), nothing);
    all.iter_mut().zip(part).for_each(|(all, part)| *all = choose(*all, *part));
}

fn summary<'a>(micros: impl Iterator<Item = &'a u32>) -> Option<Summary> {
    let mut latency = Histogram::new();
    micros.for_each(|micros| latency.record(u64::from(*micros) * 1_000));
    (latency.count() > 0).then(|| latency.summary())
}

/// Returns the figures that are differences between the window's ends; the rest is empty.
fn between(name: &str, loaded: &[Loaded], before: &Moment, after: &Moment) -> Phase {
    let length = |edges: &Loaded| seconds(edges.before.at_ns, edges.after.at_ns);
    // All workers have the same window, to some microseconds.
    let window_s = loaded.iter().map(length).fold(1e-9, f64::max);
    let difference = |figure: fn(&Edge) -> u64| {
        loaded.iter().map(|edges| figure(&edges.after).saturating_sub(figure(&edges.before))).sum::<u64>()
    };
    let busiest = |figure: fn(&Edge) -> u64| {
        let shares = loaded.iter().map(|edges| seconds(figure(&edges.before), figure(&edges.after)) / window_s);
        shares.fold(0.0, f64::max)
    };
    let (sent, deliveries) = (difference(|edge| edge.sent), difference(|edge| edge.verified));
    let per_delivery = |seconds: f64| if deliveries == 0 { 0.0 } else { seconds * 1e6 / deliveries as f64 };
    let server = before.server.zip(after.server).map(|(before, after)| {
        let user = after.user_ticks.saturating_sub(before.user_ticks) as f64;
        let system = after.system_ticks.saturating_sub(before.system_ticks) as f64;
        let cpu = seconds(before.total_ns, after.total_ns);
        let switches = after.switches.saturating_sub(before.switches) as f64;
        ServerUse {
            cpu_share: cpu / window_s,
            cpu_us_per_delivery: per_delivery(cpu),
            user_share: Some(user / (user + system).max(1.0)),
            switches_per_delivery: (deliveries > 0).then(|| switches / deliveries as f64),
        }
    });
    // The kernel's counter of stolen time has been seen to decrease.
    let (stolen, all) =
        (after.stolen.0.saturating_sub(before.stolen.0), after.stolen.1.saturating_sub(before.stolen.1));
    Phase {
        name: name.to_owned(),
        seconds: window_s,
        sent,
        sent_per_second: sent as f64 / window_s,
        deliveries,
        deliveries_per_second: deliveries as f64 / window_s,
        generator: GeneratorUse {
            cpu_share: busiest(|edge| edge.own.run_ns),
            waiting_share: busiest(|edge| edge.own.wait_ns),
            cpu_us_per_delivery: per_delivery(seconds(0, difference(|edge| edge.own.run_ns))),
        },
        server,
        stolen_share: stolen as f64 / all.max(1) as f64,
        ..Phase::default()
    }
}

/// Adds the figures of the server's own metrics page.
fn add_counters(phase: &mut Phase, before: Counted, after: Counted) {
    let page = |counted: Counted| counted.counters?.join().ok()?;
    let Some((before, after)) = page(before).zip(page(after)) else { return };
    let difference = |figure: fn(&Counters) -> Option<f64>| {
        figure(&before).zip(figure(&after)).map(|(before, after)| after - before)
    };
    let sends = difference(|counters| counters.sends).zip(difference(|counters| counters.deliveries));
    phase.sends_per_delivery = sends.map(|(sends, deliveries)| sends / deliveries).filter(|each| each.is_finite());
    if phase.server.is_none()
        && let Some(cpu) = difference(|counters| counters.cpu_seconds)
    {
        phase.server = Some(ServerUse {
            cpu_share: cpu / phase.seconds,
            cpu_us_per_delivery: cpu * 1e6 / phase.deliveries.max(1) as f64,
            user_share: None,
            switches_per_delivery: None,
        });
    }
    if phase.server_rss_peak == 0 {
        let rss = before.rss_bytes.into_iter().chain(after.rss_bytes).fold(0.0, f64::max);
        phase.server_rss_peak = bytes(rss);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; a size is positive")]
const fn bytes(value: f64) -> u64 {
    value as u64
}
