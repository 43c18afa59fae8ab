//! The memory budget: how much the process may use, and what it does before the kernel kills it.
//!
//! | used | pressure | what happens |
//! |---|---|---|
//! | below 85 % | normal | nothing |
//! | from 85 % on | tight | new connections get 503, open ones are served |
//! | from 95 % on | short | every second, the slowest connections are closed: 4008 |
//!
//! A pressure ends 5 % below the share at which it begins, so that it does not change with every sample.
//!
//! Two figures are held against two limits, and the one closer to its limit decides: the resident memory of the process
//! against `memory_max`, or the machine's memory; and the memory of each [cgroup](super::cgroup) against its limit,
//! whatever `memory_max` says, because the kernel kills there.

use super::tell::tell_all;
use super::usage::{Holder, Usage};
use super::{cgroup, process};
use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two samples. Even if nothing else bounded a hub that receives 100,000 messages of 10 KB per second, it
/// would grow by no more than 1 GB in between.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two samples once half of the budget is used: the sockets of a few hundred connections that stop reading
/// fill a small container in less than a second. A sample reads a dozen small files.
const SAMPLE_INTERVAL_CLOSE: Duration = Duration::from_millis(100);

/// Time between two rounds of closes: the memory of a closed connection is free after a while only.
const SHED_INTERVAL: Duration = Duration::from_secs(1);

/// How close the process is to its budget.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pressure {
    /// No limit is in force.
    Normal,
    /// New connections are refused.
    Tight,
    /// The slowest connections are closed.
    Short,
}

impl Pressure {
    /// Returns the percentage of the budget at which it begins.
    const fn threshold(self) -> u64 {
        match self {
            Self::Normal => 0,
            Self::Tight => 85,
            Self::Short => 95,
        }
    }

    /// Returns the pressure that follows this one.
    fn next(self, usage: Usage) -> Self {
        // Where it is in force already, it ends 5 % lower.
        let holds = |pressure: Self| {
            usage.is_above(if self >= pressure { pressure.threshold() - 5 } else { pressure.threshold() })
        };
        [Self::Short, Self::Tight].into_iter().find(|pressure| holds(*pressure)).unwrap_or(Self::Normal)
    }
}

/// The budget, and what the last sample found.
#[derive(Debug)]
pub(crate) struct Memory {
    /// As configured.
    memory_max: AtomicU64,
    used: AtomicU64,
    budget: AtomicU64,
    pressure: AtomicU8,
}

impl Memory {
    /// `memory_max` is in bytes; 0 means as much as the machine has.
    pub(crate) fn new(memory_max: u64) -> Self {
        let memory = Self {
            memory_max: AtomicU64::new(memory_max),
            used: AtomicU64::new(0),
            budget: AtomicU64::new(0),
            pressure: AtomicU8::new(0),
        };
        memory.note(sample(Path::new("/"), memory_max));
        memory
    }

    /// Returns the budget in bytes: the limit that is closest.
    pub(crate) fn budget(&self) -> u64 {
        // Relaxed throughout: each number stands for itself.
        self.budget.load(Ordering::Relaxed)
    }

    /// Returns the bytes that the last sample held against the budget.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes the limit of the process; the argument is that of [`Memory::new`].
    pub(crate) fn set_max(&self, memory_max: u64) {
        self.memory_max.store(memory_max, Ordering::Relaxed);
        self.note(sample(Path::new("/"), memory_max));
    }

    /// Returns the pressure as of the last sample.
    pub(crate) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::Normal,
            1 => Pressure::Tight,
            _ => Pressure::Short,
        }
    }

    /// Samples the use of memory for ever, and closes connections while it is short.
    pub(crate) async fn watch(&self, hub: &Hub<SocketSink>) {
        let mut next_shed = Instant::now();
        loop {
            let usage = sample(Path::new("/"), self.memory_max.load(Ordering::Relaxed));
            if self.update(usage) == Pressure::Short && Instant::now() >= next_shed {
                shed_memory(hub).await;
                next_shed = Instant::now() + SHED_INTERVAL;
            }
            sleep(if usage.is_above(50) { SAMPLE_INTERVAL_CLOSE } else { SAMPLE_INTERVAL }).await;
        }
    }

    /// Makes a sample visible to the metrics.
    fn note(&self, usage: Usage) {
        self.used.store(usage.used, Ordering::Relaxed);
        self.budget.store(usage.max, Ordering::Relaxed);
    }

    /// Sets the pressure that follows from a sample, and logs a change.
    fn update(&self, usage: Usage) -> Pressure {
        self.note(usage);
        let before = self.pressure();
        let pressure = before.next(usage);
        if pressure != before {
            self.pressure.store(pressure as u8, Ordering::Relaxed);
            let (used, budget, of) = (usage.used, usage.max, usage.holder.name());
            match pressure {
                Pressure::Normal => tracing::info!(used, budget, of, "memory: enough again"),
                Pressure::Tight => tracing::warn!(used, budget, of, "memory: tight; new connections are refused"),
                Pressure::Short => tracing::error!(used, budget, of, "memory: short; the slowest connections close"),
            }
        }
        pressure
    }
}

/// Asks every shard to close its slowest connections.
async fn shed_memory(hub: &Hub<SocketSink>) {
    tell_all(hub, || Command::CloseSlowest).await;
}

/// Returns the usage that is closest to its limit.
fn sample(root: &Path, memory_max: u64) -> Usage {
    let resident = process::resident_bytes().unwrap_or_default();
    let groups = cgroup::usages(root);
    tightest(resident, if memory_max == 0 { machine_bytes(root) } else { memory_max }, groups)
}

/// Returns the usage that is closest to its limit, of a process with `resident` bytes and its cgroups.
fn tightest(resident: u64, process_max: u64, groups: Vec<Usage>) -> Usage {
    let process = Usage { used: resident, max: process_max, holder: Holder::Process };
    // A group has at least its process, also where the kernel charges its pages to the group that it was started in.
    let groups = groups.into_iter().map(|group| Usage { used: group.used.max(resident), ..group });
    groups.fold(process, Usage::tighter)
}

/// Returns the memory of the machine.
fn machine_bytes(root: &Path) -> u64 {
    let total = || {
        let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    total().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_process(used: u64, max: u64) -> Usage {
        Usage { used, max, holder: Holder::Process }
    }

    fn of_cgroup(used: u64, max: u64) -> Usage {
        Usage { used, max, holder: Holder::Cgroup }
    }

    /// docs/threats.md, row 30. At 85 and 95 %, and back with a distance.
    #[test]
    fn stages_begin_at_their_share_and_end_below_it() {
        let memory = Memory::new(1_000);
        for (used, pressure) in [
            (849, Pressure::Normal),
            (850, Pressure::Tight),
            (801, Pressure::Tight),
            (949, Pressure::Tight),
            (950, Pressure::Short),
            (901, Pressure::Short),
            (899, Pressure::Tight),
            (799, Pressure::Normal),
            (1_000, Pressure::Short),
            (0, Pressure::Normal),
        ] {
            assert_eq!(memory.update(of_process(used, 1_000)), pressure, "{used}");
            assert_eq!(memory.pressure(), pressure);
            assert_eq!((memory.used(), memory.budget()), (used, 1_000));
        }
    }

    /// docs/threats.md, row 30. The figure that is closer to its limit decides, whatever `memory_max` says: the kernel
    /// kills at the limit of the cgroup.
    #[test]
    fn limit_that_is_closest_is_the_budget() {
        let full = of_cgroup(95, 100);
        for (resident, memory_max, groups, expected) in [
            // No cgroup with a limit: the process and its limit, or the machine.
            (40, 1_000, vec![], of_process(40, 1_000)),
            // Socket buffers fill the cgroup while the process is small.
            (10, 1_000, vec![full], full),
            (10, 90, vec![full], full),
            // The process is at its own limit, and the cgroup has room.
            (85, 90, vec![of_cgroup(90, 200)], of_process(85, 90)),
            // The group above is the one that is full.
            (10, 1_000, vec![of_cgroup(20, 100), of_cgroup(500, 510)], of_cgroup(500, 510)),
            // What the kernel charged elsewhere still counts.
            (60, 1_000, vec![of_cgroup(0, 100)], of_cgroup(60, 100)),
        ] {
            assert_eq!(tightest(resident, memory_max, groups.clone()), expected, "{resident} {memory_max} {groups:?}");
        }
    }
}
