//! A process: the real binary, with its arguments and its environment.

use super::within;
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};
use throng::config::Config;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The binary with these arguments, ready to be started.
pub(crate) fn throng(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
    // The environment in which the tests run must not decide them.
    for variable in Config::command().get_arguments().filter_map(|argument| argument.get_env()) {
        command.env_remove(variable);
    }
    command.env_remove("THRONG_LOG").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The log of a process.
pub(crate) type Log = Lines<BufReader<ChildStderr>>;

/// Waits for a line of the log with this text in it.
pub(crate) async fn logged(log: &mut Log, text: &str) -> String {
    within(async {
        loop {
            let line = log.next_line().await.expect("it is text").expect("the log goes on");
            if line.contains(text) {
                return line;
            }
        }
    })
    .await
}

/// Reads a log to its end.
pub(crate) async fn rest(mut log: Log) -> String {
    let mut all = String::new();
    while let Some(line) = within(log.next_line()).await.expect("it is text") {
        all.push_str(&line);
        all.push('\n');
    }
    all
}

/// A server in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) first_line: String,
    stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) addr: SocketAddr,
}

impl Process {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::spawn(throng(&["--addr", "127.0.0.1:0"]).args(arguments)).await
    }

    /// Starts and waits for the address that the first line names.
    pub(crate) async fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::null()).await
    }

    /// Starts as [`Process::spawn`] does, with a log that goes somewhere.
    pub(crate) async fn spawn_with(command: &mut Command, stderr: Stdio) -> Self {
        // Most tests that read the metrics are not about who may.
        command.env("THRONG_METRICS", "public");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first_line = within(stdout.next_line()).await.expect("it is text").expect("there is a line");
        let url = first_line.split("://").nth(1).expect("the line names a URL");
        let addr = url.split('/').next().unwrap_or_default().replace("localhost", "127.0.0.1");
        let addr = addr.parse().expect("the URL names an address");
        Self { child, first_line, stdout, addr }
    }

    /// Starts as [`Process::spawn`] does, and returns its log too.
    pub(crate) async fn spawn_logging(command: &mut Command) -> (Self, Log) {
        let mut process = Self::spawn_with(command, Stdio::piped()).await;
        let log = process.child.stderr.take().expect("it is piped");
        (process, BufReader::new(log).lines())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it still runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id().cast_signed()).expect("it is not zero");
        kill_process(pid, signal).expect("it is ours");
    }

    /// Sends a signal again and again until the process ends.
    pub(crate) async fn ended_by(mut self, signal: Signal) -> ExitStatus {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
        within(async {
            while self.child.try_wait().expect("it is ours").is_none() {
                self.signal(signal);
                ticks.tick().await;
            }
        })
        .await;
        self.ended().await
    }

    pub(crate) async fn ended(mut self) -> ExitStatus {
        let status = within(self.child.wait()).await.expect("it is ours");
        assert_eq!(within(self.stdout.next_line()).await.expect("it is text"), None, "one line is all it prints");
        status
    }
}

/// Checks a claim about times, which the claim multiplies by `scale`; when it fails, again with longer times. The
/// delays of a busy machine do not grow with the scale, so only a hub that breaks the claim fails at every scale.
pub(crate) async fn at_some_scale<F: Future<Output = Result<(), String>>>(claim: impl Fn(u32) -> F) {
    let mut reasons = Vec::new();
    for scale in [1, 6, 36] {
        match claim(scale).await {
            Ok(()) => return,
            Err(reason) => reasons.push(reason),
        }
    }
    panic!("at every scale: {reasons:?}");
}

/// Runs what must not start, and returns its exit code and what it said.
pub(crate) async fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = within(throng(arguments).output()).await.expect("the binary runs");
    assert!(stdout.is_empty(), "{arguments:?} started");
    (status.code(), String::from_utf8(stderr).expect("it is text"))
}
