//! Runs of the program under test, and the servers that they are pointed at.

#![allow(dead_code, reason = "each test uses its part")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "what fails in a helper fails the test")]

pub(crate) mod server;

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The report; null if none was written.
    pub(crate) json: Value,
}

impl Run {
    /// The first line of what was printed.
    pub(crate) fn verdict(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }

    /// Everything that was printed, for the message of a test that fails.
    pub(crate) fn words(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// A figure of the report, by its path.
    pub(crate) fn figure(&self, path: &str) -> f64 {
        let value = self.json.pointer(path).unwrap_or_else(|| panic!("no {path} in {}", self.json));
        value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
    }

    /// Fails the test unless the run passed.
    #[track_caller]
    pub(crate) fn expect_pass(&self) -> &Self {
        assert_eq!((self.verdict(), self.code), ("PASS", Some(0)), "{}", self.words());
        assert_eq!(self.json["verdict"]["line"], "PASS");
        self
    }
}

/// A file of a test's own, removed with the test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(extension: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Only the number matters; nothing is published with it.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("loadtest-{}-{number}.{extension}", std::process::id())))
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The report in it; null if there is none.
    pub(crate) fn json(&self) -> Value {
        std::fs::read(&self.0).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Drain of a run that is going to wait for all of it, because a message is missing at its end: longer than the server
/// takes to deliver the others.
pub(crate) const SHORT_DRAIN: [&str; 2] = ["--drain", "10s"];

/// Prepares a scenario against `ws://ADDRESS/ws`, 300 ms long. Later options beat these. The drain ends as soon as
/// nothing is missing, so that its limit matters on no machine.
pub(crate) fn loadtest(scenario: &str, address: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args([scenario, "--url", &format!("ws://{address}/ws")]);
    // So that a server sees by the address which client it has: 127.0.0.1 is the first.
    command.args(["--source-addresses", "200"]);
    command.args(["--duration", "300ms", "--warmup", "0s", "--drain", "60s", "--quiet"]);
    command
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: &str, address: SocketAddr, options: &[&str]) -> Run {
    let json = Scratch::new("json");
    let mut command = loadtest(scenario, address);
    command.args(["--json", json.name()]).args(options);
    finish(&command.output().unwrap(), &json)
}

/// Checks a claim about times, which the claim multiplies by `scale`; when it fails, again with longer times. The
/// delays of a busy machine do not grow with the scale, so only a generator that breaks the claim fails at every scale.
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

/// Reads what a run left behind.
pub(crate) fn finish(output: &Output, json: &Scratch) -> Run {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), json: json.json() }
}

/// Starts a server that hands every connection, and its number, to `serve`, one after the other; it ends when that
/// says false.
pub(crate) fn raw(mut serve: impl FnMut(usize, TcpStream) -> bool + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
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
