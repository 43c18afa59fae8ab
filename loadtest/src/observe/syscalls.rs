//! System calls of the server, counted by `perf` where the machine has it and allows it.
//!
//! Counting costs the server some 100 ns per call, so it is done only on request.

use crate::exit::RunError;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Every entry into the kernel.
const EVENT: &str = "raw_syscalls:sys_enter";

/// A count in progress.
#[derive(Debug)]
pub(crate) struct Count {
    perf: Child,
    seconds: f64,
}

/// Checks that counting is possible.
///
/// # Errors
///
/// Fails when there is no `perf`, or it is not allowed to count.
pub(crate) fn check() -> Result<(), RunError> {
    let output = Command::new("perf").args(["stat", "-e", EVENT, "true"]).output();
    match output {
        Ok(output) if output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("<not") => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let why = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
            Err(RunError::Limits(format!(
                "--server-syscalls: perf cannot count {EVENT} here: {why}; leave the flag out"
            )))
        }
        Err(error) => Err(RunError::Limits(format!(
            "--server-syscalls needs perf (Debian: linux-perf), which did not start: {error}; leave the flag out"
        ))),
    }
}

impl Count {
    /// Counts the calls of `pids` for `duration` from now.
    pub(crate) fn begin(pids: &[u32], duration: Duration) -> Option<Self> {
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        let seconds = duration.as_secs_f64();
        let sleep = format!("{seconds:.3}");
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", EVENT, "-p", &pids.join(","), "sleep", &sleep])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        perf.ok().map(|perf| Self { perf, seconds })
    }

    /// Waits for the end and returns the calls per second.
    pub(crate) fn per_second(self) -> Option<f64> {
        let output = self.perf.wait_with_output().ok()?;
        let calls: f64 = parse(&String::from_utf8_lossy(&output.stderr))?;
        Some(calls / self.seconds)
    }
}

fn parse(text: &str) -> Option<f64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_read_from_perf() {
        let line = "53126,,raw_syscalls:sys_enter,2998423130,100.00,,\n";
        assert_eq!(parse(line), Some(53126.0));
        assert_eq!(parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
    }
}
