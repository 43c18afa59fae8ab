//! Signals: those that ask a run to end, which then reports what it has measured.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Returns the signals to handle: Ctrl-C, the signal of a supervisor, and the end of the terminal, unless `nohup` has
/// it ignored.
pub(crate) fn to_handle() -> impl Iterator<Item = i32> {
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    [SIGINT, SIGTERM].into_iter().chain(hangup)
}

fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & (1 << (signal - 1)) != 0)
}
