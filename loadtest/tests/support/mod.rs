//! Runs of the load generator, and the servers that they are pointed at.

#![allow(dead_code, reason = "each test file uses a part")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "what fails in a helper fails the test")]

pub(crate) mod protobuf;
pub(crate) mod server;

use serde_json::Value;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The outcome of a finished run.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The report; null if none was written.
    pub(crate) json: Value,
}

impl Run {
    /// Returns the first line of stdout.
    pub(crate) fn verdict(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }

    /// Returns stdout and stderr, for the message of a failed assertion.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Returns a figure of the JSON report by its path.
    pub(crate) fn figure(&self, path: &str) -> f64 {
        let value = self.json.pointer(path).unwrap_or_else(|| panic!("no {path} in {}", self.json));
        value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
    }

    /// Fails the test unless the run passed.
    #[track_caller]
    pub(crate) fn expect_pass(&self) -> &Self {
        assert_eq!((self.verdict(), self.code), ("PASS", Some(0)), "{}", self.output());
        assert_eq!(self.json["verdict"]["line"], "PASS");
        self
    }
}

/// A temporary file, removed when dropped.
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    pub(crate) fn new(extension: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Only the number matters; nothing is published with it.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("loadtest-{}-{number}.{extension}", std::process::id())))
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Returns the JSON report in it; null if there is no file.
    pub(crate) fn json(&self) -> Value {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        // A run that was killed leaves the file empty.
        if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A drain time for runs that wait to its end, because a message is missing: longer than the server takes to deliver
/// the others.
pub(crate) const SHORT_DRAIN: [&str; 2] = ["--drain", "10s"];

/// Prepares a run of 300 ms against `ws://ADDRESS/ws`. Later options override these. A drain ends as soon as nothing is
/// missing, so its limit depends on no machine.
pub(crate) fn loadtest(scenario: &str, address: SocketAddr) -> Command {
    // The tests may run under nohup, whose children ignore SIGHUP.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_loadtest")]);
    command.args([scenario, "--url", &format!("ws://{address}/ws")]);
    // Other tests run at the same time, so any generator may have to wait for a core.
    command.args(["--generator-waiting-max", "1"]);
    // The server identifies clients by their source address; 127.0.0.1 is the first.
    command.args(["--source-addresses", "200"]);
    command.args(["--duration", "300ms", "--warmup", "0s", "--drain", "60s", "--quiet"]);
    command
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: &str, address: SocketAddr, options: &[&str]) -> Run {
    let json = TempFile::new("json");
    let mut command = loadtest(scenario, address);
    command.args(["--json", json.name()]).args(options);
    finish(&command.output().unwrap(), &json)
}

/// Checks a claim about times at growing scales until it holds. Scheduling delays of a busy machine do not grow with
/// the scale, so a claim that fails at every scale is wrong.
pub(crate) fn at_some_scale(claim: impl Fn(u32) -> Result<(), String>) {
    let mut reasons = Vec::new();
    for scale in [1, 4, 16] {
        match claim(scale) {
            Ok(()) => return,
            Err(reason) => reasons.push(reason),
        }
    }
    panic!("at every scale: {reasons:?}");
}

/// Collects the outcome of a run.
pub(crate) fn finish(output: &Output, json: &TempFile) -> Run {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), json: json.json() }
}

/// Starts a server that passes each accepted connection, with its number, to `serve`, one at a time, until that returns
/// false.
pub(crate) fn raw_server(mut serve: impl FnMut(usize, TcpStream) -> bool + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            if !serve(number, stream.unwrap()) {
                break;
            }
        }
    });
    address
}

/// Reads a request up to its empty line.
pub(crate) fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len > 0) {
        request.push(byte[0]);
    }
}

/// Copies bytes in both directions until either side closes.
pub(crate) fn relay(client: &TcpStream, inner: SocketAddr) {
    let server = TcpStream::connect(inner).unwrap();
    for (mut from, mut to) in
        [(client, &server), (&server, client)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
    {
        thread::spawn(move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        });
    }
}
