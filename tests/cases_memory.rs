//! Memory that the kernel counts for a cgroup and that is not resident in the process: it kills for that too.

#[path = "common/server/mod.rs"]
mod server;

use rustix::process::Signal;
use server::process::{Process, throng};
use server::{get, within};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Limit of the group: a hub and its libraries take a small part of it.
const LIMIT: u64 = 256 << 20;

const MIB: u64 = 1 << 20;

/// A cgroup with a limit on memory, removed when dropped.
struct Group {
    folder: PathBuf,
    used: &'static str,
}

impl Group {
    /// Makes a group below the test's own (version 1) or the root (version 2), which needs root's rights.
    fn new() -> std::io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| line.split_once(":memory:/"));
        let (base, max, used) = match own {
            Some((_, own)) => {
                (Path::new("/sys/fs/cgroup/memory").join(own), "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            None => (PathBuf::from("/sys/fs/cgroup"), "memory.max", "memory.current"),
        };
        let folder = base.join(format!("throng-test-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder, used };
        fs::write(group.folder.join(max), LIMIT.to_string())?;
        Ok(group)
    }

    /// Puts a program into the group before it starts.
    fn run(&self, program: &Command) -> Command {
        let program = program.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.folder);
        command.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null()).kill_on_drop(true);
        for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
            command.env_remove(name);
        }
        command
    }

    /// Writes that many MiB to a file; the kernel counts them for the group.
    async fn write(&self, path: &Path, mib: u64) {
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=1M", "conv=fsync", &format!("count={mib}"), &format!("of={}", path.display())]);
        let output = within(self.run(&dd).output()).await.expect("dd runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn used(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join(self.used)).expect("the kernel counts");
        text.trim().parse().expect("it is a number")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Best effort: it stays while a process of a failed test is in it.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// A file that is removed when dropped.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn metric(process: &Process, name: &str) -> u64 {
    let page = get(process.addr, "/metrics").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("it is on the page");
    line.parse().expect("it is a number")
}

/// docs/threats.md, row 30. A file in tmpfs stands for what the process does not see, as socket buffers do; a file on a
/// disk for what the kernel takes back.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that shows nothing says so")]
async fn memory_of_the_cgroup_counts_and_its_cached_files_do_not() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(reason) => return eprintln!("skipped, since no cgroup can be made here: {reason}"),
    };
    let name = format!("throng-test-{}", std::process::id());
    let cached = TemporaryFile(Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name));
    group.write(&cached.0, 230).await;
    let process = Process::spawn(&mut group.run(&throng(&["--addr", "127.0.0.1:0"]))).await;
    assert!(group.used() > LIMIT / 2, "the file is cached");
    assert_eq!(metric(&process, "throng_memory_budget_bytes").await, LIMIT);
    let used = metric(&process, "throng_memory_used_bytes").await;
    assert!((MIB..LIMIT / 2).contains(&used), "{used} bytes in use at the start");
    assert_eq!(get(process.addr, "/health/ready").await.status, 200);

    let shared = TemporaryFile(Path::new("/dev/shm").join(&name));
    group.write(&shared.0, 225).await;
    within(async { while get(process.addr, "/health/ready").await.status == 200 {} }).await;
    assert_eq!(get(process.addr, "/health/ready").await.body, "out of memory\n");
    let (used, resident) =
        (metric(&process, "throng_memory_used_bytes").await, metric(&process, "process_resident_memory_bytes").await);
    assert!(used >= LIMIT / 100 * 85 && resident < LIMIT / 2, "{used} in use, {resident} resident");

    drop(shared);
    within(async { while get(process.addr, "/health/ready").await.status == 503 {} }).await;
    process.ended_by(Signal::KILL).await;
}
