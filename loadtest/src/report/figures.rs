//! The figures: every number of a run that is shown, compared or asserted, with its name, unit and good direction.
//!
//! The terminal table, `--assert`, `compare` and the HTML page all read these lists, so a figure has one name and one
//! way to be written. A figure that a run does not have is absent.

use crate::results::{Findings, Phase, Round};
use crate::units::{bytes, count, micros, percent, rate};

/// How a figure is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Count,
    PerSecond,
    /// Of a latency, in microseconds.
    Latency,
    /// Of CPU time, in microseconds.
    Cpu,
    Seconds,
    Bytes,
    BytesPerHour,
    /// 1 is 100 %.
    Share,
    /// A ratio.
    Times,
    /// A small number, such as sends per delivery.
    Each,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Better {
    Lower,
    Higher,
    /// It describes the load, not the server.
    Neither,
}

/// A figure of `T`: a phase, or the findings of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure<T> {
    /// As `--assert` and the JSON of `compare` name it.
    pub(crate) key: &'static str,
    /// As a reader sees it.
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    read: fn(&T) -> Option<f64>,
}

/// A figure's value in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) value: f64,
}

impl Unit {
    /// Writes a value for people.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Self::Count => count(whole(value)),
            Self::PerSecond => rate(value),
            Self::Latency => micros(whole(value)),
            Self::Cpu => format!("{value:.3} µs"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Bytes => bytes(value),
            Self::BytesPerHour => format!("{}/h", bytes(value)),
            Self::Share => percent(value),
            Self::Times => format!("{value:.2} x"),
            Self::Each => format!("{value:.3}"),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; figures are positive")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

impl<T> Figure<T> {
    /// Reads the figure of `source`.
    pub(crate) fn of(&self, source: &T) -> Option<Value> {
        let Self { key, label, unit, better, read } = *self;
        read(source).map(|value| Value { key, label, unit, better, value })
    }
}

const fn figure<T>(
    key: &'static str,
    label: &'static str,
    unit: Unit,
    better: Better,
    read: fn(&T) -> Option<f64>,
) -> Figure<T> {
    Figure { key, label, unit, better, read }
}

/// Latency percentiles are figures only where something was delivered.
fn latency(phase: &Phase, value_us: u64) -> Option<f64> {
    (phase.latency.count > 0).then_some(value_us as f64)
}

/// The figures of a phase.
pub(crate) const OF_PHASE: &[Figure<Phase>] = &[
    figure("messages_per_s", "messages/s", Unit::PerSecond, Better::Neither, |p| Some(p.sent_per_second)),
    figure("deliveries_per_s", "deliveries/s", Unit::PerSecond, Better::Higher, |p| Some(p.deliveries_per_second)),
    figure("p50", "latency p50", Unit::Latency, Better::Lower, |p| latency(p, p.latency.p50_us)),
    figure("p90", "latency p90", Unit::Latency, Better::Lower, |p| latency(p, p.latency.p90_us)),
    figure("p99", "latency p99", Unit::Latency, Better::Lower, |p| latency(p, p.latency.p99_us)),
    figure("p99.9", "latency p99.9", Unit::Latency, Better::Lower, |p| latency(p, p.latency.p999_us)),
    figure("max", "latency max", Unit::Latency, Better::Lower, |p| latency(p, p.latency.max_us)),
    figure("first_p99", "first receiver p99", Unit::Latency, Better::Lower, |p| {
        p.first.as_ref().map(|first| first.p99_us as f64)
    }),
    figure("last_p50", "last receiver p50", Unit::Latency, Better::Lower, |p| {
        p.last.as_ref().map(|last| last.p50_us as f64)
    }),
    figure("last_p99", "last receiver p99", Unit::Latency, Better::Lower, |p| {
        p.last.as_ref().map(|last| last.p99_us as f64)
    }),
    figure("late_p99", "sent late p99", Unit::Latency, Better::Lower, |p| {
        (p.lateness.count > 0).then_some(p.lateness.p99_us as f64)
    }),
    figure("api_publications_per_s", "API publications/s", Unit::PerSecond, Better::Higher, |p| {
        p.api.as_ref().map(|api| api.accepted_per_second)
    }),
    figure("api_answers_per_s", "API answers/s", Unit::PerSecond, Better::Higher, |p| {
        p.api.as_ref().map(|api| api.answers_per_second)
    }),
    figure("api_batch", "API publications/answer", Unit::Each, Better::Neither, |p| {
        p.api.as_ref().map(|api| api.batch)
    }),
    figure("api_p50", "API answer p50", Unit::Latency, Better::Lower, |p| {
        p.api.as_ref().map(|api| api.answer_time.p50_us as f64)
    }),
    figure("api_p99", "API answer p99", Unit::Latency, Better::Lower, |p| {
        p.api.as_ref().map(|api| api.answer_time.p99_us as f64)
    }),
    figure("server_cpu", "server CPU", Unit::Share, Better::Lower, |p| p.server.map(|server| server.cpu_share)),
    figure("server_cpu_per_delivery", "server CPU/delivery", Unit::Cpu, Better::Lower, |p| {
        p.server.map(|server| server.cpu_us_per_delivery)
    }),
    figure("server_user_share", "server CPU in user mode", Unit::Share, Better::Neither, |p| {
        p.server.and_then(|server| server.user_share)
    }),
    figure("switches_per_delivery", "server switches/delivery", Unit::Each, Better::Lower, |p| {
        p.server.and_then(|server| server.switches_per_delivery)
    }),
    figure("sends_per_delivery", "server sends/delivery", Unit::Each, Better::Lower, |p| p.sends_per_delivery),
    figure("syscalls_per_delivery", "server syscalls/delivery", Unit::Each, Better::Lower, |p| p.syscalls_per_delivery),
    figure("server_rss_peak", "server RSS peak", Unit::Bytes, Better::Lower, |p| known(p.server_rss_peak)),
    figure("server_pss", "server Pss", Unit::Bytes, Better::Lower, |p| known(p.memory_after.server_pss)),
    figure("generator_cpu", "generator CPU", Unit::Share, Better::Neither, |p| Some(p.generator.cpu_share)),
    figure("generator_cpu_per_delivery", "generator CPU/delivery", Unit::Cpu, Better::Neither, |p| {
        (p.deliveries > 0).then_some(p.generator.cpu_us_per_delivery)
    }),
    figure("generator_waiting", "generator without a core", Unit::Share, Better::Neither, |p| {
        Some(p.generator.waiting_share)
    }),
    figure("stolen", "stolen by hypervisor", Unit::Share, Better::Neither, |p| Some(p.stolen_share)),
];

/// Returns a size as a figure, unless it is 0 because it could not be read.
fn known(size: u64) -> Option<f64> {
    (size > 0).then_some(size as f64)
}

/// Returns what a client costs in memory: 0 if the memory shrank meanwhile, for another reason.
const fn cost(bytes: f64) -> f64 {
    bytes.max(0.0)
}

fn round(findings: &Findings, is_jittered: bool) -> Option<&Round> {
    findings.storm.as_ref()?.rounds.iter().find(|round| (round.jitter_s > 0.0) == is_jittered)
}

/// The figures of a run as a whole; the second half only in some scenarios.
pub(crate) const OF_RUN: &[Figure<Findings>] = &[
    figure("lost", "lost", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.lost as f64)),
    figure("duplicated", "duplicated", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.duplicated as f64)),
    figure("reordered", "reordered", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.reordered as f64)),
    figure("corrupt", "corrupt", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.corrupt as f64)),
    // The key is part of the file format, and older than the label.
    figure("joined", "merged", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.merged as f64)),
    figure("split", "split", Unit::Count, Better::Lower, |f| Some(f.accounting.counts.split as f64)),
    figure("closed", "closed by the server", Unit::Count, Better::Lower, |f| {
        Some(f.closes.iter().map(|close| close.count).sum::<usize>() as f64)
    }),
    figure("refused", "refused connections", Unit::Count, Better::Lower, |f| {
        Some(f.refusals.iter().map(|refusal| refusal.count).sum::<u64>() as f64)
    }),
    figure("handshake_p99", "handshake p99", Unit::Latency, Better::Lower, |f| {
        (f.connections.handshake.count > 0).then_some(f.connections.handshake.p99_us as f64)
    }),
    figure("connects_per_s", "connections/s", Unit::PerSecond, Better::Higher, |f| {
        (f.connections.seconds > 0.0).then(|| f.connections.timed as f64 / f.connections.seconds)
    }),
    figure("server_cpu_per_connection", "server CPU/connection", Unit::Cpu, Better::Lower, |f| {
        f.connections.server_cpu_us_per_connection
    }),
    figure("server_rss_per_connection", "server RSS/connection", Unit::Bytes, Better::Lower, |f| {
        f.idle.as_ref().filter(|idle| idle.memory_high.server_rss > 0).map(|idle| idle.server_rss_per_connection)
    }),
    figure("server_pss_per_connection", "server Pss/connection", Unit::Bytes, Better::Lower, |f| {
        f.idle.as_ref().filter(|idle| idle.memory_high.server_pss > 0).map(|idle| idle.server_pss_per_connection)
    }),
    figure("slab_per_connection", "kernel slab/connection", Unit::Bytes, Better::Lower, |f| {
        f.idle.as_ref().map(|idle| idle.kernel_slab_per_connection)
    }),
    figure("generator_rss_per_connection", "generator RSS/connection", Unit::Bytes, Better::Neither, |f| {
        f.idle.as_ref().map(|idle| idle.generator_rss_per_connection)
    }),
    figure("idle_server_cpu", "server CPU while idle", Unit::Share, Better::Lower, |f| {
        f.idle.as_ref().filter(|idle| idle.memory_high.server_rss > 0).map(|idle| idle.server_cpu_share)
    }),
    figure("healthy_p50_ratio", "healthy p50, stalled/calm", Unit::Times, Better::Lower, |f| {
        f.slow.as_ref().map(|slow| slow.p50_ratio)
    }),
    figure("healthy_p99_ratio", "healthy p99, stalled/calm", Unit::Times, Better::Lower, |f| {
        f.slow.as_ref().map(|slow| slow.p99_ratio)
    }),
    figure("stalled_ended", "stalled, ended by the server", Unit::Count, Better::Neither, |f| {
        f.slow.as_ref().map(|slow| slow.ended as f64)
    }),
    figure("server_rss_per_stalled", "server RSS/stalled", Unit::Bytes, Better::Lower, |f| {
        f.slow.as_ref().map(|slow| cost(slow.server_rss_per_stalled))
    }),
    figure("kernel_tcp_per_stalled", "kernel TCP/stalled", Unit::Bytes, Better::Lower, |f| {
        f.slow.as_ref().map(|slow| cost(slow.kernel_tcp_per_stalled))
    }),
    figure("back_99", "99 % back, all at once", Unit::Seconds, Better::Lower, |f| round(f, false)?.back_99_s),
    figure("back_100", "all back, all at once", Unit::Seconds, Better::Lower, |f| round(f, false)?.back_100_s),
    figure("jittered_back_99", "99 % back, spread out", Unit::Seconds, Better::Lower, |f| round(f, true)?.back_99_s),
    figure("jittered_back_100", "all back, spread out", Unit::Seconds, Better::Lower, |f| round(f, true)?.back_100_s),
    figure("storm_cpu_per_connection", "server CPU/return", Unit::Cpu, Better::Lower, |f| {
        round(f, false)?.server_cpu_us_per_connection
    }),
    figure("storm_rss_peak", "server RSS peak in the storm", Unit::Bytes, Better::Lower, |f| {
        known(f.storm.as_ref()?.rounds.iter().map(|round| round.server_rss_peak).max()?)
    }),
    figure("recovered", "recovered completely", Unit::Count, Better::Higher, |f| {
        f.recovery.as_ref().map(|recovery| recovery.recovered as f64)
    }),
    figure("incomplete", "recovered incompletely", Unit::Count, Better::Lower, |f| {
        f.recovery.as_ref().map(|recovery| recovery.incomplete as f64)
    }),
    figure("recovered_lines", "messages recovered", Unit::Count, Better::Neither, |f| {
        f.recovery.as_ref().map(|recovery| recovery.lines as f64)
    }),
    figure("return_99", "99 % back", Unit::Seconds, Better::Lower, |f| f.recovery.as_ref()?.back_99_s),
    figure("return_100", "all back", Unit::Seconds, Better::Lower, |f| f.recovery.as_ref()?.back_100_s),
    figure("others_p50_ratio", "others' p50, return/calm", Unit::Times, Better::Lower, |f| {
        f.recovery.as_ref().map(|recovery| recovery.p50_ratio)
    }),
    figure("others_p99_ratio", "others' p99, return/calm", Unit::Times, Better::Lower, |f| {
        f.recovery.as_ref().map(|recovery| recovery.p99_ratio)
    }),
    figure("return_rss_before", "server RSS before the return", Unit::Bytes, Better::Lower, |f| {
        known(f.recovery.as_ref()?.server_rss_before)
    }),
    figure("return_rss_peak", "server RSS peak in the return", Unit::Bytes, Better::Lower, |f| {
        known(f.recovery.as_ref()?.server_rss_peak)
    }),
    figure("arrivals_per_s", "arrivals/s", Unit::PerSecond, Better::Neither, |f| {
        f.churn.as_ref().map(|churn| churn.arrivals_per_second)
    }),
    figure("arrival_p99", "arrival handshake p99", Unit::Latency, Better::Lower, |f| {
        f.churn.as_ref().filter(|churn| churn.handshake.count > 0).map(|churn| churn.handshake.p99_us as f64)
    }),
    figure("server_rss_per_arrival", "server RSS/arrival", Unit::Bytes, Better::Lower, |f| {
        f.churn.as_ref()?.server_rss_per_arrival.map(cost)
    }),
    figure("knee_clients", "clients at the knee", Unit::Count, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.knee?].clients as f64)
    }),
    figure("knee_rate", "messages/s at the knee", Unit::PerSecond, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.knee?].rate)
    }),
    figure("knee_deliveries_per_s", "deliveries/s at the knee", Unit::PerSecond, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.knee?].deliveries_per_second)
    }),
    figure("held_clients", "clients held", Unit::Count, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.held?].clients as f64)
    }),
    figure("held_rate", "messages/s held", Unit::PerSecond, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.held?].rate)
    }),
    figure("held_deliveries_per_s", "deliveries/s held", Unit::PerSecond, Better::Higher, |f| {
        let ramp = f.ramp.as_ref()?;
        Some(ramp.steps[ramp.held?].deliveries_per_second)
    }),
    figure("server_rss_per_subscription", "server RSS/subscription", Unit::Bytes, Better::Lower, |f| {
        f.channels.as_ref()?.server_rss_per_subscription.map(cost)
    }),
    figure("rss_slope", "server RSS growth", Unit::BytesPerHour, Better::Lower, |f| {
        f.soak.as_ref()?.rss_bytes_per_hour
    }),
    figure("descriptors_slope", "server descriptors/h", Unit::Each, Better::Lower, |f| {
        f.soak.as_ref()?.descriptors_per_hour
    }),
    figure("kernel_tcp_slope", "kernel TCP growth", Unit::BytesPerHour, Better::Lower, |f| {
        f.soak.as_ref().map(|soak| soak.kernel_tcp_bytes_per_hour)
    }),
];

/// Finds a figure by name: of the run, of its last phase, or of a named phase as in `calm.p99`.
pub(crate) fn find(findings: &Findings, name: &str) -> Option<Value> {
    if let Some(figure) = OF_RUN.iter().find(|figure| figure.key == name) {
        return figure.of(findings);
    }
    let phases = &findings.phases;
    let whole = OF_PHASE.iter().find(|figure| figure.key == name);
    if let Some(figure) = whole {
        return figure.of(phases.last()?);
    }
    let (phase, key) = name.split_once('.')?;
    let figure = OF_PHASE.iter().find(|figure| figure.key == key)?;
    figure.of(phases.iter().find(|candidate| candidate.name == phase)?)
}

/// Returns every figure of a run: those of its last phase, then those of the whole run.
pub(crate) fn all(findings: &Findings) -> Vec<Value> {
    let of_run = OF_RUN.iter().filter_map(|figure| figure.of(findings));
    let last = findings.phases.last();
    let of_phase = last.into_iter().flat_map(|phase| OF_PHASE.iter().filter_map(|figure| figure.of(phase)));
    of_phase.chain(of_run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--assert` finds a figure by its name: two of one name would hide each other.
    #[test]
    fn names_are_unique() {
        let mut keys: Vec<_> = OF_PHASE.iter().map(|f| f.key).chain(OF_RUN.iter().map(|f| f.key)).collect();
        keys.sort_unstable();
        let len = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), len);
    }

    /// A server whose memory shrank for another reason does not pay back memory per client.
    #[test]
    fn memory_of_a_client_is_never_negative() {
        let churn = crate::results::Churn { server_rss_per_arrival: Some(-683.0), ..Default::default() };
        let slow =
            crate::results::Slow { server_rss_per_stalled: -1.0, kernel_tcp_per_stalled: 5.0, ..Default::default() };
        let findings = Findings { churn: Some(churn), slow: Some(slow), ..Findings::default() };
        let written = |name| find(&findings, name).map(|found| found.unit.write(found.value));
        assert_eq!(written("server_rss_per_arrival").as_deref(), Some("0 B"));
        assert_eq!(written("server_rss_per_stalled").as_deref(), Some("0 B"));
        assert_eq!(written("kernel_tcp_per_stalled").as_deref(), Some("5 B"));
    }

    #[test]
    fn figures_of_a_named_phase_are_found() {
        let phase = |name: &str, sent_per_second| Phase { name: name.to_owned(), sent_per_second, ..Phase::default() };
        let findings = Findings { phases: vec![phase("calm", 1.0), phase("stalled", 2.0)], ..Findings::default() };
        let value = |name| find(&findings, name).map(|found| found.value);
        assert_eq!(value("messages_per_s"), Some(2.0));
        assert_eq!(value("calm.messages_per_s"), Some(1.0));
        assert_eq!(value("lost"), Some(0.0));
        assert_eq!(value("p99"), None, "nothing was delivered");
        assert_eq!(value("calm.p99.9"), None);
        assert_eq!(value("nonsense"), None);
    }
}
