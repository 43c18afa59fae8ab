//! Ramp: how much load until latency exceeds a limit.
//!
//! Step by step more clients, or more messages per second, each step measured for itself; the last one that kept the
//! limit and lost nothing is the knee, if the step after it exceeded the limits. A step in which the generator was the
//! bottleneck ends the ramp as well, without a knee: it would be the generator's.

use crate::config::{Axis, RampLoad};
use crate::coordinator::{Coordinator, Window};
use crate::results::{GENERATOR_CPU_SHARE_MAX, Phase, Ramp, Step};
use crate::units::{micros, percent};
use crate::worker::messages::Drive;
use anyhow::Result;

/// Measures step by step until one exceeds a limit.
pub(super) fn run(run: &mut Coordinator, load: &RampLoad) -> Result<()> {
    let config = run.config.clone();
    let p99_max_us = u64::try_from(load.p99_max.as_micros()).unwrap_or(u64::MAX);
    let mut ramp = Ramp {
        axis: load.axis,
        p99_max_us,
        steps: Vec::new(),
        knee: None,
        held: None,
        is_generator_bound: false,
        end: String::new(),
    };
    for number in 0..load.steps_max {
        let value = load.from + load.step * number as f64;
        let (clients, rate) = match load.axis {
            Axis::Clients => (whole(value), load.rate),
            Axis::Rate => (config.clients, value),
        };
        // A publisher of the run's own comes on top.
        let total = clients + usize::from(config.has_own_publisher());
        if total > run.findings.connections.opened {
            match run.connect_to(total) {
                Ok(connections) => run.findings.connections = connections,
                // The steps so far are valid.
                Err(_) if run.is_interrupted() && number > 0 => break,
                Err(error) => return Err(error),
            }
        }
        let (drive, duration) = (Drive::Rate(rate), config.duration);
        let warmup = config.warmup;
        let phase = run.measure(&Window::new("step", drive, warmup, duration))?;
        let end = end(&phase, p99_max_us, run.lost, run.closed);
        let bound = generator_bound(&phase, config.generator_waiting_max);
        let is_within = end.is_none() && bound.is_none();
        ramp.steps.push(step(clients, rate, &phase, is_within));
        if is_within {
            ramp.held = Some(number);
        }
        // The phase of the last step that held is the run's.
        if is_within || run.findings.phases.is_empty() {
            run.findings.phases = vec![phase];
        }
        ramp.is_generator_bound = bound.is_some();
        if bound.is_none() && end.is_some() {
            ramp.knee = ramp.held;
        }
        ramp.end = match bound.or(end) {
            Some(end) => end,
            None if run.is_interrupted() => format!("interrupted after {} steps", ramp.steps.len()),
            None => format!("all {} steps held: raise --steps", ramp.steps.len()),
        };
        run.findings.ramp = Some(ramp.clone());
        if !is_within || run.is_interrupted() {
            break;
        }
    }
    Ok(())
}

fn step(clients: usize, rate: f64, phase: &Phase, is_within: bool) -> Step {
    Step {
        clients,
        rate,
        deliveries_per_second: phase.deliveries_per_second,
        p50_us: phase.latency.p50_us,
        p99_us: phase.latency.p99_us,
        max_us: phase.latency.max_us,
        server_cpu_share: phase.server.map(|server| server.cpu_share),
        server_rss: phase.memory_after.server_rss,
        generator_cpu_share: phase.generator.cpu_share,
        is_within,
    }
}

/// Returns why a step is limited by the generator, if it is.
fn generator_bound(phase: &Phase, waiting_max: f64) -> Option<String> {
    let generator = &phase.generator;
    if generator.cpu_share > GENERATOR_CPU_SHARE_MAX {
        return Some(format!(
            "the generator used {} of its core, so the limit is its own",
            percent(generator.cpu_share)
        ));
    }
    (generator.waiting_share > waiting_max).then(|| {
        let share = percent(generator.waiting_share);
        format!("the generator waited {share} of the time for a core, so the limit is its own")
    })
}

/// Returns why the server did not keep the limits in a step, if it did not.
fn end(phase: &Phase, p99_max_us: u64, lost: u64, closed: usize) -> Option<String> {
    let p99_us = phase.latency.p99_us;
    if lost > 0 {
        return Some(format!("{lost} messages were lost"));
    }
    if closed > 0 {
        return Some(format!("the server closed {closed} connections"));
    }
    if phase.latency.count == 0 {
        return Some("nothing was delivered".to_owned());
    }
    (p99_us > p99_max_us).then(|| format!("p99 {} is above {}", micros(p99_us), micros(p99_max_us)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; clients are positive")]
fn whole(value: f64) -> usize {
    value.round() as usize
}
