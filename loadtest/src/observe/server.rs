//! A server process as `/proc` shows it: CPU time over all threads, memory, descriptors; its children included, since
//! some servers are several processes.

use crate::exit::RunError;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// The processes whose resources are measured.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pid: u32,
    /// Nanoseconds by thread. A thread that ended keeps what it had used when it was last seen.
    threads: HashMap<PathBuf, u64>,
}

/// CPU time used since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Exact, user and system together.
    pub(crate) total_ns: u64,
    /// In clock ticks, good for a ratio only.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Context switches, by choice or not.
    pub(crate) switches: u64,
}

impl ServerProcess {
    /// Finds a process.
    ///
    /// # Errors
    ///
    /// Fails when there is none or it belongs to another user.
    pub(crate) fn new(pid: u32) -> Result<Self, RunError> {
        let process = Self { pid, threads: HashMap::new() };
        if process.rss_bytes().is_none() || fs::read_dir(format!("/proc/{pid}/fd")).is_err() {
            return Err(RunError::Usage(format!(
                "--server-pid {pid} is not a process of yours; find it with `pgrep -n NAME`"
            )));
        }
        Ok(process)
    }

    /// Returns the process and all its descendants.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.pid];
        let mut at = 0;
        while let Some(pid) = pids.get(at) {
            at += 1;
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
            let children: Vec<u32> = children
                .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
                .collect();
            pids.extend(children);
        }
        pids
    }

    /// Reads the CPU time used so far; nothing if the process is gone.
    pub(crate) fn cpu(&mut self) -> Option<Cpu> {
        let mut cpu = Cpu::default();
        let mut is_there = false;
        for pid in self.pids() {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
                let run = text.split(' ').next().and_then(|run| run.parse().ok()).unwrap_or_default();
                self.threads.insert(task.path(), run);
                cpu.switches += switches(&task.path()).unwrap_or_default();
            }
            if let Some((user, system)) = ticks(pid) {
                is_there = true;
                cpu.user_ticks += user;
                cpu.system_ticks += system;
            }
        }
        cpu.total_ns = self.threads.values().sum();
        is_there.then_some(cpu)
    }

    /// Returns resident memory; cheap enough for several times a second.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        let rss = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
            Some(pages * rustix::param::page_size() as u64)
        };
        self.sum(rss)
    }

    /// Returns the largest resident memory since the process began.
    pub(crate) fn rss_peak_bytes(&self) -> Option<u64> {
        let peak = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        self.sum(peak)
    }

    /// Returns resident memory with shared pages divided among the processes that share them; walks all pages.
    pub(crate) fn pss_bytes(&self) -> Option<u64> {
        let pss = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        self.sum(pss)
    }

    /// Returns open descriptors.
    pub(crate) fn descriptors(&self) -> Option<u64> {
        let descriptors = |pid: &u32| {
            let folder = format!("/proc/{pid}/fd");
            // Since Linux 6.2 the folder's size is the number; before that it has to be counted.
            let size = fs::metadata(&folder).ok()?.len();
            if size > 0 { Some(size) } else { fs::read_dir(folder).ok().map(|entries| entries.count() as u64) }
        };
        self.sum(descriptors)
    }

    /// Returns the sum over the processes that exist; nothing if none does.
    fn sum(&self, figure: impl Fn(&u32) -> Option<u64>) -> Option<u64> {
        self.pids().iter().filter_map(figure).reduce(|sum, value| sum + value)
    }
}

/// Returns user and system time in clock ticks.
fn ticks(pid: u32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; 11 fields stand between it and the times.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

fn switches(task: &std::path::Path) -> Option<u64> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    Some(counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server may be a shell that starts the real one: its child is measured too.
    #[test]
    fn children_are_charged() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & read line; kill $!"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = ServerProcess::new(shell.id()).unwrap();
        while process.pids().len() < 2 {
            std::thread::yield_now();
        }
        assert!(process.descriptors().unwrap() >= 6, "three each");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(process.rss_bytes(), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_refused() {
        assert!(ServerProcess::new(u32::MAX).unwrap_err().to_string().contains("pgrep"));
    }
}
