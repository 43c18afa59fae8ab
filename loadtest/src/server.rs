//! A server process as `/proc` shows it: CPU time over all threads, resident and proportional memory.

use std::collections::HashMap;
use std::fs;

use crate::stop::Stop;

/// The process to charge.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pid: u32,
    /// Nanoseconds by thread. A thread that ended keeps what it had used when it was last seen.
    threads: HashMap<String, u64>,
}

/// CPU time used since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Exact, user and system together.
    pub(crate) total_ns: u64,
    /// In clock ticks, good for a ratio only.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
}

impl ServerProcess {
    /// Finds a process.
    ///
    /// # Errors
    ///
    /// Fails when there is none or it belongs to somebody else.
    pub(crate) fn new(pid: u32) -> Result<Self, Stop> {
        let process = Self { pid, threads: HashMap::new() };
        if process.rss_bytes().is_none() {
            return Err(Stop::Usage(format!(
                "--server-pid {pid} is no process of yours; ask `pgrep -n NAME` for the number"
            )));
        }
        Ok(process)
    }

    /// Reads the CPU time used so far; nothing if the process is gone.
    pub(crate) fn cpu(&mut self) -> Option<Cpu> {
        for task in fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?.flatten() {
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let run = text.split(' ').next().and_then(|run| run.parse().ok()).unwrap_or_default();
            self.threads.insert(task.file_name().to_string_lossy().into_owned(), run);
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name in parentheses may hold anything; 11 fields stand between it and the times.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).map(str::parse);
        let (user_ticks, system_ticks) = (fields.next()?.ok()?, fields.next()?.ok()?);
        Some(Cpu { total_ns: self.threads.values().sum(), user_ticks, system_ticks })
    }

    /// Resident memory; cheap enough for several times a second.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    /// Resident memory with shared pages divided among those who share; walks all of the process's pages.
    pub(crate) fn pss_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    }
}
