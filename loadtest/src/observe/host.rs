//! The machine: this thread's CPU time, stolen time, TCP memory, and what a reader needs to judge the figures.

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Time of this process's main thread so far, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ThreadTime {
    pub(crate) run_ns: u64,
    /// Ready to run while others had the core.
    pub(crate) wait_ns: u64,
}

/// Reads this thread's times.
pub(crate) fn thread_time() -> ThreadTime {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse().unwrap_or_default());
    ThreadTime { run_ns: fields.next().unwrap_or_default(), wait_ns: fields.next().unwrap_or_default() }
}

/// Returns clock ticks of all cores so far: those the hypervisor gave to others, and all.
pub(crate) fn stolen_ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_ascii_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    (fields.get(7).copied().unwrap_or_default(), fields.iter().sum())
}

/// Returns memory of the buffers of all TCP sockets, in bytes.
pub(crate) fn tcp_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = line.split_once(" mem ").and_then(|(_, pages)| pages.trim().parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

/// Returns memory of the kernel's objects, in bytes.
pub(crate) fn slab_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}

/// Returns memory of this process, in bytes.
pub(crate) fn own_rss_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

/// Where and how a run was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Environment {
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    /// Cores of the machine.
    pub(crate) cores: usize,
    /// Cores this process may use.
    pub(crate) cores_allowed: usize,
    pub(crate) command: String,
    /// Of the working directory, if it is in a repository.
    pub(crate) commit: Option<String>,
    pub(crate) unix_time_s: u64,
    /// Limits and settings of the kernel that shape a result, by name.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn new() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let models =
            || cpus.lines().filter(|line| line.starts_with("model name")).filter_map(|line| line.split_once(": "));
        let git = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok();
        let commit = git
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self {
            cpu: models().next().map(|(_, model)| model.to_owned()).unwrap_or_default(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            cores_allowed: std::thread::available_parallelism().map_or(0, usize::from),
            command: without_key(std::env::args()),
            commit: commit.map(|commit| commit.trim().to_owned()),
            unix_time_s: std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs()),
            settings: settings(),
        }
    }
}

/// Returns the words of a command line, with the key of an API replaced: reports are passed around.
fn without_key(words: impl Iterator<Item = String>) -> String {
    let mut is_key = false;
    let words = words.map(|word| match word.split_once('=') {
        _ if std::mem::replace(&mut is_key, word == "--api-key") => "KEY".to_owned(),
        Some(("--api-key", _)) => "--api-key=KEY".to_owned(),
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Reads settings that explain differences between two machines.
fn settings() -> BTreeMap<String, String> {
    let read = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    let limit = getrlimit(Resource::Nofile);
    let descriptors = limit.current.map_or_else(|| "unlimited".to_owned(), |current| current.to_string());
    let kernel = [
        ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
        ("net.ipv4.ip_local_port_range", "/proc/sys/net/ipv4/ip_local_port_range"),
        ("net.ipv4.tcp_congestion_control", "/proc/sys/net/ipv4/tcp_congestion_control"),
        ("net.ipv4.tcp_mem", "/proc/sys/net/ipv4/tcp_mem"),
        ("net.ipv4.tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem"),
        ("net.ipv4.tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem"),
    ];
    let kernel = kernel.map(|(name, path)| (name.to_owned(), read(path)));
    kernel.into_iter().filter(|(_, value)| !value.is_empty()).chain([("nofile".to_owned(), descriptors)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_in_no_report() {
        let words = ["loadtest", "fanout", "--api-key", "secret", "--publish", "api", "--api-key=secret"];
        let line = without_key(words.map(str::to_owned).into_iter());
        assert_eq!(line, "loadtest fanout --api-key KEY --publish api --api-key=KEY");
    }
}
