//! The memory budget: how much the process may use, and what it does before the kernel kills it.
//!
//! | used | pressure | what happens |
//! |---|---|---|
//! | below 85 % | normal | nothing |
//! | from 85 % on | tight | new connections get 503, open ones are served |
//! | from 95 % on | short | every second, connections that hold back the older half of a large log are closed: 4008 |
//!
//! A pressure ends 5 % below the share at which it begins, so that it does not change with every sample.

use super::process;
use super::tell::tell_all;
use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two samples. Even if nothing else bounded a hub that receives 100,000 messages of 10 KB per second, it
/// would grow by no more than 1 GB in between.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// How close the process is to its budget.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pressure {
    /// No limit is in force.
    Normal,
    /// New connections are refused.
    Tight,
    /// The connections with the longest outboxes are closed.
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

    /// Returns the pressure that follows this one when `used` of `budget` bytes are used.
    fn next(self, used: u64, budget: u64) -> Self {
        let is_above = |percent: u64| u128::from(used) * 100 >= u128::from(budget) * u128::from(percent);
        // Where it is in force already, it ends 5 % lower.
        let holds =
            |pressure: Self| is_above(if self >= pressure { pressure.threshold() - 5 } else { pressure.threshold() });
        [Self::Short, Self::Tight].into_iter().find(|pressure| holds(*pressure)).unwrap_or(Self::Normal)
    }
}

/// The budget, and the pressure as of the last sample.
#[derive(Debug)]
pub(crate) struct Memory {
    budget: AtomicU64,
    pressure: AtomicU8,
}

impl Memory {
    /// `memory_max` is in bytes; 0 means as much as the cgroup and the machine have.
    pub(crate) fn new(memory_max: u64) -> Self {
        Self { budget: AtomicU64::new(resolve_budget(memory_max)), pressure: AtomicU8::new(0) }
    }

    /// Returns the budget in bytes.
    pub(crate) fn budget(&self) -> u64 {
        // Relaxed throughout: each number stands for itself.
        self.budget.load(Ordering::Relaxed)
    }

    /// Changes the budget; the arguments are those of [`Memory::new`].
    pub(crate) fn set_max(&self, memory_max: u64) {
        self.budget.store(resolve_budget(memory_max), Ordering::Relaxed);
    }

    /// Returns the pressure as of the last sample.
    pub(crate) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::Normal,
            1 => Pressure::Tight,
            _ => Pressure::Short,
        }
    }

    /// Samples the use of memory once per second, for ever, and closes connections while it is short.
    pub(crate) async fn watch(&self, hub: &Hub<SocketSink>) {
        let mut samples = interval(SAMPLE_INTERVAL);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            samples.tick().await;
            if self.update(process::resident_bytes().unwrap_or_default()) == Pressure::Short {
                shed_memory(hub).await;
            }
        }
    }

    /// Sets the pressure for `used` bytes, and logs a change.
    fn update(&self, used: u64) -> Pressure {
        let (before, budget) = (self.pressure(), self.budget());
        let pressure = before.next(used, budget);
        if pressure != before {
            self.pressure.store(pressure as u8, Ordering::Relaxed);
            match pressure {
                Pressure::Normal => tracing::info!(used, budget, "memory: enough again"),
                Pressure::Tight => tracing::warn!(used, budget, "memory: tight; new connections are refused"),
                Pressure::Short => tracing::error!(used, budget, "memory: short; the longest outboxes are closed"),
            }
        }
        pressure
    }
}

/// Asks every shard to close its slowest connections.
async fn shed_memory(hub: &Hub<SocketSink>) {
    tell_all(hub, || Command::CloseSlowest).await;
}

/// Returns the budget: as configured, else the smaller one of what the cgroup allows and what the machine has.
fn resolve_budget(memory_max: u64) -> u64 {
    match memory_max {
        0 => cgroup_max(Path::new("/")).into_iter().chain(machine_bytes()).min().unwrap_or(u64::MAX),
        bytes => bytes,
    }
}

fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Returns the smallest limit between the process's cgroup and the root of its hierarchy, of cgroups version 2 or 1.
/// `root` is `/`, except in tests.
fn cgroup_max(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        // `hierarchy:controllers:path`; version 2 has no controllers here, cgroups(7).
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (base, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            "memory" => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let base = root.join(base);
        let group = base.join(group);
        let folders = group.ancestors().filter(|folder| folder.starts_with(&base));
        folders.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(memory.update(used), pressure, "{used}");
            assert_eq!(memory.pressure(), pressure);
        }
    }

    /// A container's limit is its own or that of a group above it.
    #[test]
    fn least_limit_from_the_cgroup_up_is_the_budget() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(cgroup_max(root.path()), None);
        write("proc/self/cgroup", "0::/pod/hub\n");
        write("sys/fs/cgroup/pod/hub/memory.max", "max\n");
        assert_eq!(cgroup_max(root.path()), None);
        write("sys/fs/cgroup/pod/memory.max", "268435456\n");
        assert_eq!(cgroup_max(root.path()), Some(268_435_456));
        write("sys/fs/cgroup/pod/hub/memory.max", "1000\n");
        assert_eq!(cgroup_max(root.path()), Some(1_000));
        write("proc/self/cgroup", "5:memory:/old\n1:cpu:/old\n");
        write("sys/fs/cgroup/memory/old/memory.limit_in_bytes", "77\n");
        assert_eq!(cgroup_max(root.path()), Some(77));
    }
}
