//! The resources of this process, as the kernel accounts for them in `/proc`.

use std::fs;

/// Field of `/proc/self/stat` with the CPU time in user mode, proc(5). The one in kernel mode follows.
const STAT_USER_TIME: usize = 14;

/// Field of `/proc/self/stat` with the start of the process, since the boot of the machine.
const STAT_START_TIME: usize = 22;

/// Returns the CPU time spent in user and kernel mode, in seconds.
pub(crate) fn cpu_seconds() -> Option<f64> {
    stat_seconds(STAT_USER_TIME, 2)
}

/// Returns the start of the process as seconds since the Unix epoch.
pub(crate) fn start_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(booted + stat_seconds(STAT_START_TIME, 1)?)
}

/// Returns the bytes of memory that are resident.
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Returns the number of open descriptors.
pub(crate) fn open_descriptors() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    // Since Linux 6.2 the size of the directory is the number; older kernels report 0, so the entries are counted.
    if size > 0 { Some(size) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64) }
}

/// Returns the sum, in seconds, of `count` fields of `/proc/self/stat` that are clock ticks, from field `first` on.
fn stat_seconds(first: usize, count: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name of the program in parentheses, may contain spaces and parentheses.
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(first - 3).take(count);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap_or_default()).sum();
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong fields would be wrong numbers, not an error: each is compared with what the test knows of its process.
    #[test]
    fn numbers_are_those_of_this_process() {
        let used = cpu_seconds().unwrap();
        assert!((0.0..1e6).contains(&used), "{used} s of CPU time");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - start_seconds().unwrap();
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
        let before = (resident_bytes().unwrap(), open_descriptors().unwrap());
        let (touched, files) = (vec![1_u8; 64 << 20], [(); 200].map(|()| fs::File::open("/dev/null").unwrap()));
        let after = (resident_bytes().unwrap(), open_descriptors().unwrap());
        assert!(after.0 >= before.0 + (32 << 20), "{before:?} {after:?}");
        assert!(after.1 >= before.1 + 100, "{before:?} {after:?}");
        drop((touched, files));
    }
}
