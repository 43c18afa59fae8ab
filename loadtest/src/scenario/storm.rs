//! Storm: how long until all clients are back after a cut.
//!
//! All connections are cut at once, twice. First all clients reconnect at once, as clients without jitter do; then each
//! at a random moment within the jitter. After each round a short load proves that the clients receive again.

use crate::clock::{nanos, now_ns};
use crate::coordinator::{Coordinator, Window, time_of};
use crate::measure::histogram::Histogram;
use crate::results::{Round, Storm};
use crate::worker::messages::{Drive, Event, Request};
use anyhow::Result;
use std::time::Duration;

/// Time that the workers have to hear of the cut.
const HEADSTART: Duration = Duration::from_millis(100);

/// Rests before a cut, so that the last round's work is not charged to the next.
const REST: Duration = Duration::from_secs(2);

/// Runs the rounds.
pub(super) fn run(run: &mut Coordinator, rate: f64, jitter: Duration) -> Result<()> {
    run.connect_all()?;
    run.findings.storm = Some(Storm::default());
    for (name, jitter) in [("at once", Duration::ZERO), ("spread", jitter)] {
        run.stage("rest", Some(REST));
        run.rest(REST)?;
        if run.is_interrupted() {
            break;
        }
        let round = round(run, name, jitter)?;
        let is_whole = round.back == round.clients;
        run.findings.storm.get_or_insert_default().rounds.push(round);
        if !is_whole {
            break;
        }
        let drive = Drive::Rate(rate);
        let phase = Window::new(name, drive, Duration::ZERO, run.config.warmup);
        let phase = run.measure(&phase)?;
        run.findings.phases.push(phase);
    }
    Ok(())
}

/// Cuts all connections, and waits for the clients to return.
fn round(run: &mut Coordinator, name: &'static str, jitter: Duration) -> Result<Round> {
    run.stage(name, None);
    run.watch.take_peaks();
    let at_ns = now_ns() + nanos(HEADSTART);
    let give_up_ns = at_ns + nanos(jitter + run.config.duration);
    let before = run.watch.moment();
    let mut returns = Histogram::new();
    let (mut attempts, mut clients, mut generator_waiting_share) = (0, 0, 0.0_f64);
    let storm = Request::Storm { at_ns, jitter_ns: nanos(jitter), give_up_ns };
    for part in run.ask(&storm, Event::returned)? {
        returns.merge(&part.returns);
        attempts += part.attempts;
        clients += part.clients;
        generator_waiting_share = generator_waiting_share.max(part.waiting_share);
    }
    let cpu = run.watch.moment().cpu_seconds_since(&before);
    let back = usize::try_from(returns.count())?;
    let (server_rss_peak, _) = run.watch.take_peaks();
    Ok(Round {
        jitter_s: jitter.as_secs_f64(),
        // Of all clients that were cut, not only of those that came back.
        back_99_s: time_of(&returns, clients, 99),
        back_100_s: time_of(&returns, clients, 100),
        back,
        clients,
        returns: returns.summary(),
        attempts,
        server_cpu_us_per_connection: cpu.map(|cpu| cpu * 1e6 / back.max(1) as f64),
        server_rss_peak,
        generator_waiting_share,
    })
}
