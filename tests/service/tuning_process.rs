//! What an operator tunes in the process: threads, cores, turns; and what is said about values that cannot be used.

use crate::server::process::{Process, fails};
use crate::server::{Client, within};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// Comma-separated cores that each runtime thread of the process may run on, in the kernel's words.
fn workers(process: &Process) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).expect("it runs");
    // A thread may end while it is looked at.
    let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).unwrap_or_default();
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    let statuses = tasks.filter_map(Result::ok).map(status);
    let workers = statuses.filter(|status| field(status, "Name") == "throng-worker");
    workers.map(|status| field(&status, "Cpus_allowed_list")).collect()
}

/// Waits until the threads have started and are as they should be: each sets itself up.
async fn until(process: &Process, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
    within(async {
        loop {
            let workers = workers(process);
            if is_so(&workers) {
                return workers;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn serves(process: &Process) {
    let mut client = Client::connect(process.addr, "/ws").await;
    client.send("hello").await;
    assert_eq!(client.line().await, "hello");
}

fn is_one_core(list: &str) -> bool {
    list.parse::<usize>().is_ok()
}

#[tokio::test]
async fn threads_is_the_number_of_runtime_threads() {
    for threads in ["1", "3"] {
        let process = Process::start(&["--threads", threads]).await;
        serves(&process).await;
        until(&process, |workers| workers.len().to_string() == threads).await;
    }
}

/// Without the flag the system decides: the list is what the test may use.
#[tokio::test]
async fn pin_threads_keeps_each_thread_on_one_core_in_turn() {
    let cores = std::thread::available_parallelism().expect("Linux says").get();
    let threads = (cores + 1).to_string();
    let process = Process::start(&["--threads", &threads, "--pin-threads"]).await;
    serves(&process).await;
    let pinned = until(&process, |workers| workers.len() == cores + 1 && workers.iter().all(|one| is_one_core(one)));
    let used: BTreeSet<_> = pinned.await.into_iter().collect();
    assert_eq!(used.len(), cores, "every core has a thread: {used:?}");

    let process = Process::start(&["--threads", &threads]).await;
    let free = until(&process, |workers| workers.len() == cores + 1).await;
    assert!(free.iter().all(|list| cores == 1 || !is_one_core(list)), "{free:?}");
}

#[tokio::test]
async fn every_knob_at_its_least_and_at_its_most_serves() {
    for arguments in [
        ["--pass-turn", "10us", "--event-interval", "1", "--pass-commands-max", "1", "--coalesce-delay", "1ms"],
        ["--pass-turn", "10ms", "--event-interval", "1024", "--pass-commands-max", "8192", "--coalesce-delay", "100ms"],
    ] {
        serves(&Process::start(&arguments).await).await;
    }
}

/// Sooner would be a delay that is not kept; how much later depends on the machine.
#[tokio::test]
async fn coalesce_delay_reaches_the_sockets() {
    let process = Process::start(&["--coalesce-delay", "100ms"]).await;
    let mut client = Client::connect(process.addr, "/ws").await;
    let start = Instant::now();
    client.send_all(["first", "second"].map(Into::into)).await;
    assert_eq!(client.text().await, "first\nsecond");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

/// The value, the rule, and what to do.
#[tokio::test]
async fn times_out_of_range_are_one_line_and_exit_code_2() {
    for (arguments, line) in [
        (
            ["--coalesce-delay", "101ms"],
            "--coalesce-delay 101ms is not between 0s and 100ms; people notice more than a tenth of a second",
        ),
        (["--pass-turn", "9us"], "--pass-turn 9us is not between 10us and 10ms; leave it out for 300us"),
        (["--pass-turn", "11ms"], "--pass-turn 11ms is not between 10us and 10ms; leave it out for 300us"),
    ] {
        assert_eq!(fails(&arguments).await, (Some(2), format!("throng: {line}\n")));
    }
}

#[tokio::test]
async fn numbers_out_of_range_name_the_value_and_the_rule() {
    for (arguments, rule) in [
        (["--threads", "0"], "0 is not between 1 and 1024"),
        (["--threads", "1025"], "1025 is not between 1 and 1024"),
        (["--event-interval", "0"], "0 is not between 1 and 1024"),
        (["--event-interval", "1025"], "1025 is not between 1 and 1024"),
        (["--pass-commands-max", "0"], "0 is not between 1 and 8192"),
        (["--pass-commands-max", "8193"], "8193 is not between 1 and 8192"),
    ] {
        let (code, said) = fails(&arguments).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(rule) && said.contains(arguments[0]), "{said}");
    }
}
