//! What the whole process asks of the kernel for a delivery: one system call, and a few per message for all.
//!
//! A part of the gate, see `benches/README.md`. perf counts, and does not sample; where it may not, the test says so
//! and passes.

#[path = "common/server/mod.rs"]
mod server;

use rustix::process::{Pid, Signal, kill_process};
use server::process::Process;
use server::{client::handshake, frame, within};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EVENT: &str = "raw_syscalls:sys_enter";
const RECEIVERS: usize = 200;
const MESSAGES: usize = 200;

/// System calls of the process for each message beyond one per receiver: the read, and the wait for it.
const BEYOND: usize = 2;

/// System calls beyond those, and beyond those of an idle hub in the same time, in all: a quarter per message.
const SPARE: usize = MESSAGES / 4;

/// How long the calls of the idle hub are counted: its ticks follow the real clock.
const IDLE: Duration = Duration::from_secs(1);

/// Returns why perf cannot count here.
fn refusal() -> Option<String> {
    let counted = Command::new("perf").args(["stat", "-x,", "-e", EVENT, "true"]).output();
    match counted {
        Err(error) => Some(format!("perf: {error}")),
        Ok(Output { stderr, .. }) if parse(&String::from_utf8_lossy(&stderr)).is_some() => None,
        Ok(Output { stderr, .. }) => Some(String::from_utf8_lossy(&stderr).trim().to_owned()),
    }
}

/// Prints past the harness, which hides what a test that passes prints: one that checked nothing has to say so.
fn report(text: std::fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "cost_syscalls: {text}").expect("there is a standard error");
}

/// Returns the number on the event's line.
fn parse(output: &str) -> Option<usize> {
    output.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

/// A folder that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("perf-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target folder is ours");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody minds what stays in the target folder.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A count under way.
struct Counter {
    perf: std::process::Child,
    control: File,
    answers: BufReader<File>,
    scratch: Scratch,
}

impl Counter {
    /// Counts from here on; returns when it does.
    fn start(process: u32) -> Self {
        let scratch = Scratch::new();
        let [control, answers] = ["control", "answers"].map(|name| scratch.0.join(name));
        let made = Command::new("mkfifo").args([&control, &answers]).status().expect("every Linux has mkfifo");
        assert!(made.success());
        // Both ends, so that neither side waits for the other to open its own.
        let open = |path: &PathBuf| File::options().read(true).write(true).open(path).expect("it was just made");
        let (control_end, answers_end) = (open(&control), BufReader::new(open(&answers)));
        let perf = Command::new("perf")
            .args(["stat", "-x,", "--delay", "-1", "-e", EVENT, "-p", &process.to_string()])
            .arg(format!("--control=fifo:{},{}", control.display(), answers.display()))
            .arg("-o")
            .arg(scratch.0.join("count"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it ran before");
        let mut counter = Self { perf, control: control_end, answers: answers_end, scratch };
        counter.tell("enable");
        counter
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.control, "{word}").expect("perf listens");
        let mut answer = Vec::new();
        self.answers.read_until(b'\n', &mut answer).expect("perf answers");
        // Some versions send the zero after their text too.
        answer.retain(|byte| *byte != 0);
        assert_eq!(answer, b"ack\n");
    }

    /// Ends the count and returns it.
    fn stop(mut self) -> usize {
        self.tell("disable");
        let id = Pid::from_raw(self.perf.id().cast_signed()).expect("it is not zero");
        kill_process(id, Signal::INT).expect("it is ours");
        self.perf.wait().expect("it is ours");
        let output = fs::read_to_string(self.scratch.0.join("count")).expect("perf wrote it");
        parse(&output).expect("the event was counted before")
    }
}

/// Connects; a pong shows that the hub knows the connection.
async fn subscriber(process: &Process) -> TcpStream {
    let stream = TcpStream::connect(process.addr).await.expect("the server listens");
    let (mut stream, early) = handshake(stream, "/ws", &frame(0x89, b"?")).await;
    let mut pong = early;
    while pong.len() < 3 {
        within(stream.read_buf(&mut pong)).await.expect("the server answers");
    }
    assert_eq!(pong, b"\x8a\x01?");
    stream
}

/// Lets the first client send a line, and waits until all have read it.
async fn say(streams: &mut [TcpStream], body: &[u8]) {
    within(streams[0].write_all(&frame(0x81, body))).await.expect("the server reads");
    let mut arrived = vec![0; 2 + body.len()];
    for stream in streams {
        within(stream.read_exact(&mut arrived)).await.expect("every client is served");
        assert_eq!(&arrived[2..], body);
    }
}

/// One at a time, so that nothing can be coalesced: the dearest way to deliver.
#[tokio::test]
async fn lone_message_costs_one_system_call_per_receiver_and_two_for_all() {
    if let Some(reason) = refusal() {
        report(format_args!("skipped, since perf cannot count system calls here: {reason}"));
        return;
    }
    // One thread wakes no other. A turn that no machine exceeds: how fast it is must not count.
    let arguments = ["--threads", "1", "--shards", "1", "--pass-turn", "10ms", "--ping-interval", "1h"];
    let process = Process::start(&arguments).await;
    let mut streams = Vec::new();
    for _ in 0..RECEIVERS {
        streams.push(subscriber(&process).await);
    }
    say(&mut streams, &[b'x'; 64]).await;

    let counter = Counter::start(process.id());
    tokio::time::sleep(IDLE).await;
    let idle = counter.stop();

    let counter = Counter::start(process.id());
    let since = Instant::now();
    for _ in 0..MESSAGES {
        say(&mut streams, &[b'x'; 64]).await;
    }
    let passed = since.elapsed();
    let calls = counter.stop();
    // On a slow machine the messages take longer, so more ticks fall into that time.
    let ticks = idle * usize::try_from(passed.as_secs() + 1).expect("it is short");
    let most = MESSAGES * (RECEIVERS + BEYOND) + SPARE + ticks;
    report(format_args!("{calls} system calls for {} deliveries, {idle} a second idle", MESSAGES * RECEIVERS));
    assert!(calls >= MESSAGES * (RECEIVERS + 1), "{calls} are too few to be all");
    assert!(calls <= most, "{calls} system calls in {passed:?}, at most {most}");
}
