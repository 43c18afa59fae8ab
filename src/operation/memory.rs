//! A memory budget: how much the process may use, and what it does before the kernel ends it.
//!
//! | used | pressure | what happens |
//! |---|---|---|
//! | below 85 % | normal | nothing |
//! | from 85 % on | tight | handshakes get 503; who is in is served |
//! | from 95 % on | short | once a second those who keep the older half of a large log are closed with 4008 |
//!
//! A pressure ends 5 % below where it began, so that it does not come and go with every sample.

use super::process;
use crate::hub::Hub;
use crate::net::socket::SocketSink;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: a hub that takes 100,000 messages of 10 KB a second grows by 1 GB in it at most, were
/// nothing else to bound it.
const LOOK: Duration = Duration::from_secs(1);

/// How near the end is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pressure {
    /// There is enough.
    Normal,
    /// Nobody new is let in.
    Tight,
    /// The longest outboxes are cut.
    Short,
}

impl Pressure {
    /// Per cent of the budget at which it begins.
    const fn begins(self) -> u64 {
        match self {
            Self::Normal => 0,
            Self::Tight => 85,
            Self::Short => 95,
        }
    }

    fn after(self, used: u64, budget: u64) -> Self {
        let is_above = |per_cent: u64| u128::from(used) * 100 >= u128::from(budget) * u128::from(per_cent);
        let reached =
            |pressure: Self| is_above(pressure.begins()) || (self >= pressure && is_above(pressure.begins() - 5));
        [Self::Short, Self::Tight].into_iter().find(|pressure| reached(*pressure)).unwrap_or(Self::Normal)
    }
}

/// What the process uses, and how much of it that may be.
#[derive(Debug)]
pub(crate) struct Memory {
    budget: AtomicU64,
    pressure: AtomicU8,
}

impl Memory {
    /// Returns the account of a process that may use `memory_max` bytes; 0 for what its surroundings allow.
    pub(crate) fn new(memory_max: u64) -> Self {
        Self { budget: AtomicU64::new(budget(memory_max)), pressure: AtomicU8::new(0) }
    }

    /// Returns the bytes that may be used.
    pub(crate) fn budget(&self) -> u64 {
        // Relaxed throughout: each number stands for itself.
        self.budget.load(Ordering::Relaxed)
    }

    /// Changes how much may be used.
    pub(crate) fn set_max(&self, memory_max: u64) {
        self.budget.store(budget(memory_max), Ordering::Relaxed);
    }

    /// Returns how near the end is, as of the last look.
    pub(crate) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::Normal,
            1 => Pressure::Tight,
            _ => Pressure::Short,
        }
    }

    /// Looks once a second, for ever.
    pub(crate) async fn watch(&self, hub: &Hub<SocketSink>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let used = process::resident_bytes().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
            if self.note(used) == Pressure::Short {
                relieve(hub).await;
            }
        }
    }

    fn note(&self, used: u64) -> Pressure {
        let (before, budget) = (self.pressure(), self.budget());
        let pressure = before.after(used, budget);
        if pressure != before {
            self.pressure.store(pressure as u8, Ordering::Relaxed);
            match pressure {
                Pressure::Normal => tracing::info!(used, budget, "memory is enough again"),
                Pressure::Tight => tracing::warn!(used, budget, "memory is tight: nobody new is let in"),
                Pressure::Short => tracing::error!(used, budget, "memory is short: the longest outboxes are cut"),
            }
        }
        pressure
    }
}

async fn relieve(hub: &Hub<SocketSink>) {
    for shard in 0..hub.shards() {
        // An inbox is never closed.
        let Ok(credit) = hub.inbox(shard).take(1).await else { return };
        hub.close_slowest(shard, credit);
    }
}

/// Returns what may be used: as configured, else what the cgroup allows, else what the machine has.
fn budget(memory_max: u64) -> u64 {
    match memory_max {
        0 => cgroup_max(Path::new("/")).into_iter().chain(machine()).min().unwrap_or(u64::MAX),
        bytes => bytes,
    }
}

fn machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Returns the least limit from the process's cgroup up to the root, of version 2 or 1, below a root folder.
fn cgroup_max(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
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

    /// Threats row 30. At 85 and 95 %, and back with a distance.
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
            assert_eq!(memory.note(used), pressure, "{used}");
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
