//! `compare` starts, interleaves, judges and stops the servers of a list. They run in processes of this test binary;
//! each keeps a control connection to the test, which shows when it starts and ends.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use futures_util::{SinkExt, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tokio::sync::broadcast::{Sender, channel};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// A short load.
const SCENARIO: &str = r#"
[scenario]
name = "fanout"
clients = 3
rate = 100
duration = "300ms"
warmup = "0s"
drain = "60s"
generator_waiting_max = 1
"#;

/// Not a test: the chat server that the tests start. It drops the message of the number `LOSES`, and kills itself after
/// `DIES` connections.
#[test]
#[ignore = "the server that the other tests start"]
fn server() {
    // Without the variable this is a run of all ignored tests.
    let Ok(control) = std::env::var("CONTROL") else { return };
    let name = std::env::var("NAME").unwrap();
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let number = |name| std::env::var(name).ok().map(|number| number.parse::<usize>().unwrap());
    let (loses, dies) = (number("LOSES"), number("DIES"));
    let mut control = TcpStream::connect(control).unwrap();
    control.write_all(format!("{name}\n").as_bytes()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (publications, _) = channel(1024);
        for accepted in 0.. {
            if dies == Some(accepted) {
                kill_self();
            }
            let stream = listener.accept().await.unwrap().0;
            tokio::spawn(serve(stream, publications.clone(), loses, control.try_clone().unwrap()));
        }
    });
}

/// Kills the process, so that no connection closes before the process has ended.
fn kill_self() {
    std::io::stderr().write_all(b"out of memory\n").unwrap();
    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
}

/// Serves one client and reports it to the test.
async fn serve(
    stream: tokio::net::TcpStream,
    publications: Sender<Utf8Bytes>,
    loses: Option<usize>,
    mut control: TcpStream,
) {
    // The comparison connects once to see whether the server listens.
    let Ok(socket) = accept_async(stream).await else { return };
    drop(control.write_all(b"client\n"));
    let (mut sink, mut source) = socket.split();
    let mut queue = publications.subscribe();
    let read = async {
        let mut number = 0;
        while let Some(Ok(message)) = source.next().await {
            if let Message::Text(text) = message {
                if loses != Some(number) {
                    drop(publications.send(text));
                }
                number += 1;
            }
        }
    };
    let write = async {
        while let Ok(text) = queue.recv().await {
            drop(sink.send(Message::Text(text)).await);
        }
    };
    tokio::select! { () = read => (), () = write => () }
}

/// A list of servers in a temporary folder, and the listener of their control connections.
struct List {
    folder: PathBuf,
    text: String,
    control: TcpListener,
}

impl List {
    fn new(test: &str, head: &str, scenario: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("compare-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let control = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { folder, text: format!("{head}\n{scenario}"), control }
    }

    /// Adds a server with any command.
    fn command(mut self, name: &str, command: &[&str]) -> Self {
        let url = "ws://127.0.0.1:{port}/";
        self.text += &format!("[[server]]\nname = {name:?}\ncommand = {command:?}\nurl = {url:?}\n");
        self
    }

    /// Adds a server of this test binary.
    fn server(self, name: &str, environment: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let control = self.control.local_addr().unwrap();
        let command = [program.to_str().unwrap(), "--exact", "server", "--ignored", "--nocapture"];
        let mut list = self.command(name, &command);
        let port = "{port}";
        list.text += &format!("env = {{ NAME = {name:?}, PORT = {port:?}, CONTROL = \"{control}\"{environment} }}\n");
        list
    }

    fn loadtest(&self, options: &[&str]) -> Command {
        let file = self.folder.join("list.toml");
        std::fs::write(&file, &self.text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.arg("compare").arg(file).args(options);
        command
    }

    fn run(&self, options: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.loadtest(options).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Returns the names of the servers that were started, in order.
    fn starts(&self) -> Vec<String> {
        // All servers have ended; their control connections are in the backlog in the order of their start.
        self.control.set_nonblocking(true).unwrap();
        let starts = std::iter::from_fn(|| self.control.accept().ok());
        starts.map(|(stream, _)| BufReader::new(stream).lines().next().unwrap().unwrap()).collect()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn unknown_key_is_named_and_no_server_starts() {
    let list = List::new("key", "runds = 3", SCENARIO).server("a", "");
    let (code, _, stderr) = list.run(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("list.toml") && stderr.contains("line 1"), "{stderr}");
    assert!(stderr.contains("unknown field `runds`"), "{stderr}");
    assert_eq!(list.starts(), [""; 0]);
}

#[test]
fn unknown_flag_of_the_scenario_is_named() {
    let list = List::new("flag", "", &SCENARIO.replace("clients", "clientz")).server("a", "");
    let (code, _, stderr) = list.run(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--clientz"), "{stderr}");
}

#[test]
fn missing_file_is_a_usage_error() {
    let list = List::new("missing", "", SCENARIO);
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("compare").arg(list.folder.join("no.toml")).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no.toml"));
}

#[test]
fn server_that_ends_at_its_start_is_reported_with_its_output() {
    let list = List::new("ends", "", SCENARIO).command("a", &["sh", "-c", "echo the disk is full >&2; exit 9"]);
    let (code, _, stderr) = list.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("server `a`: ended (exit status: 9)") && stderr.contains("the disk is full"), "{stderr}");
}

#[test]
fn server_that_never_listens_times_out() {
    let list = List::new("silent", "start_timeout = \"200ms\"", SCENARIO).command("a", &["sleep", "600"]);
    let (code, _, stderr) = list.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("server `a`: does not listen at 127.0.0.1:"), "{stderr}");
    assert!(stderr.contains("after 200ms (`start_timeout`)"), "{stderr}");
}

#[test]
fn failed_setup_ends_the_comparison_before_the_first_round() {
    let mut list = List::new("setup", "", SCENARIO).server("a", "").command("b", &["true"]);
    list.text += "setup = [\"sh\", \"-c\", \"echo install it first; exit 1\"]\n";
    let (code, _, stderr) = list.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("server `b`: setup") && stderr.contains("install it first"), "{stderr}");
    assert_eq!(list.starts(), [""; 0]);
}

/// A disturbance that lasts for minutes must affect all servers alike.
#[test]
fn rounds_are_interleaved_and_reported() {
    let list = List::new("order", "rounds = 2", SCENARIO).server("a", "").server("b", "");
    let file = list.folder.join("comparison.json");
    let (code, stdout, stderr) = list.run(&["--json", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(stdout.lines().next(), Some("COMPARED: 2 servers, 2 rounds, fanout"));
    assert_eq!(list.starts(), ["a", "b", "a", "b"]);
    let progress: Vec<_> = stderr.lines().filter(|line| line.starts_with("round ")).collect();
    assert_eq!(progress.len(), 4, "{stderr}");
    assert!(progress[2].starts_with("round 2/2  a  PASS  deliveries/s "), "{stderr}");
    assert!(stdout.contains("latency p99") && stdout.contains("loopback"), "{stdout}");

    let json: serde_json::Value = serde_json::from_reader(std::fs::File::open(&file).unwrap()).unwrap();
    let server = &json[0]["servers"][1];
    assert_eq!((&server["name"], &server["runs"][1]["verdict"]), (&"b".into(), &"PASS".into()));
    let run = |index: usize| server["runs"][index]["figures"]["p99"].as_f64().unwrap();
    assert_eq!(server["figures"]["p99"]["median"], f64::midpoint(run(0), run(1)));
    assert_eq!(server["figures"]["p99"]["runs"], 2);
}

/// The headline figures of all lists stand together at the end.
#[test]
fn several_lists_end_in_a_summary() {
    let head = "rounds = 1\nheadline = \"deliveries_per_s\"";
    let list = List::new("summary", head, SCENARIO).server("a", "").server("b", "");
    let again = list.folder.join("list.toml");
    let (code, stdout, stderr) = list.run(&[again.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let (_, summary) = stdout.split_once("SUMMARY").unwrap();
    let lines: Vec<_> = summary.lines().filter(|line| line.contains("list  deliveries/s  a ")).collect();
    assert_eq!((lines.len(), lines[0].contains("|  b ")), (2, true), "{summary}");

    let unknown = List::new("headline", "headline = \"speed\"", SCENARIO).server("a", "");
    let (code, _, stderr) = unknown.run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("`headline` is \"speed\""), "{stderr}");
}

#[test]
fn unwritable_file_ends_the_comparison_before_the_first_round() {
    let list = List::new("unwritable", "", SCENARIO).server("a", "");
    let (code, _, stderr) = list.run(&["--json", "/no/such/folder/comparison.json"]);
    assert_eq!(code, Some(70), "{stderr}");
    assert!(stderr.contains("failed to open /no/such/folder/comparison.json for writing"), "{stderr}");
    assert_eq!(list.starts(), [""; 0]);
}

/// The second list cannot start its server; the figures of the first are written all the same.
#[test]
fn failed_list_keeps_the_figures_of_those_before() {
    let list = List::new("before", "rounds = 1", SCENARIO).server("a", "");
    let failing = List::new("failing", "rounds = 1", SCENARIO).command("b", &["false"]);
    let (file, second) = (list.folder.join("comparison.json"), failing.folder.join("list.toml"));
    std::fs::write(&second, &failing.text).unwrap();
    let (code, stdout, stderr) = list.run(&[second.to_str().unwrap(), "--json", file.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stdout.starts_with("COMPARED: 1 server"), "{stdout}");
    let json: serde_json::Value = serde_json::from_reader(std::fs::File::open(&file).unwrap()).unwrap();
    assert_eq!(json[0]["servers"][0]["runs"][0]["verdict"], "PASS");
}

#[test]
fn flags_select_servers_and_rounds() {
    let list = List::new("only", "", SCENARIO).server("a", "").server("b", "");
    let (code, stdout, stderr) = list.run(&["--only", "b", "--rounds", "1"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(stdout.lines().next(), Some("COMPARED: 1 server, 1 round, fanout"));
    assert_eq!(list.starts(), ["b"]);
    let (code, _, stderr) = list.run(&["--only", "c"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--only c: there is no such server, the file has a, b"), "{stderr}");
}

/// Servers under different loads are no comparison of servers.
#[test]
fn different_loads_are_named_and_not_judged() {
    let mut list = List::new("loads", "rounds = 2", SCENARIO).server("a", "").server("b", "");
    list.text += "flags = { rate = 400 }\n";
    let (code, stdout, stderr) = list.run(&[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.lines().nth(2).unwrap().starts_with("DIFFERENT LOADS: "), "{stdout}");
    assert!(!stdout.contains("x +") && !stdout.contains("x -") && !stdout.contains("better, -"), "{stdout}");
}

#[test]
fn failed_run_is_counted_and_its_figures_shown() {
    let list = List::new("fails", "rounds = 1", SCENARIO).server("good", "").server("bad", ", LOSES = \"5\"");
    let (code, stdout, stderr) = list.run(&[]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert_eq!(stdout.lines().next(), Some("FAIL: 1 of 2 runs failed; 2 servers, 1 round, fanout"));
    assert!(stdout.contains("bad: 1 of 1 run failed: FAIL: 4 lost\n"), "{stdout}");
    let p99 = stdout.lines().find(|line| line.contains("latency p99 ")).unwrap();
    assert!(!p99.contains(" - "), "{stdout}");
}

/// Figures of finished rounds are shown. The flags of a server override those of the scenario.
#[test]
fn interrupt_reports_finished_rounds() {
    let mut list = List::new("partial", "rounds = 2", SCENARIO).server("a", "").server("b", "");
    list.text += "flags = { duration = \"600s\" }\n";
    let comparison = list.loadtest(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _a = list.control.accept().unwrap();
    let b = BufReader::new(list.control.accept().unwrap().0);
    let lines: Vec<_> = b.lines().map(Result::unwrap).take(2).collect();
    assert_eq!(lines, ["b", "client"]);
    kill_process(Pid::from_child(&comparison), Signal::INT).unwrap();
    let output = comparison.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("INTERRUPTED: 1 of 4 runs made; 2 servers, 2 rounds, fanout\n"), "{stdout}");
}

/// The verdict names the end of the server, not its consequences for the generator.
#[test]
fn server_that_ends_during_a_run_is_named_in_the_verdict() {
    let list = List::new("falls", "rounds = 1", SCENARIO).server("a", ", DIES = \"3\"");
    let (code, stdout, stderr) = list.run(&[]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains(": the server ended (signal: 9 (SIGKILL))"), "{stdout}");
    assert!(stderr.contains("last words of the server:") && stderr.contains("out of memory"), "{stderr}");
}

/// Servers and generators are not in the terminal's process group, so the comparison has to end them.
#[test]
fn interrupt_ends_all_child_processes() {
    let scenario = SCENARIO.replace("300ms", "600s");
    let list = List::new("interrupt", "", &scenario).server("a", "");
    let comparison = list.loadtest(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut server = BufReader::new(list.control.accept().unwrap().0);
    let mut lines = server.by_ref().lines().map(Result::unwrap);
    assert_eq!((lines.next().as_deref(), lines.next().as_deref()), (Some("a"), Some("client")));
    kill_process(Pid::from_child(&comparison), Signal::INT).unwrap();

    let id = comparison.id();
    let output = comparison.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    // The control connection closes when the server's process ends.
    assert!(lines.all(|line| line == "client"));
    // The command line of a generator contains the comparison's folder.
    let folder = format!("loadtest-{id}-");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let left = commands.map(|command| String::from_utf8_lossy(&command).into_owned());
    assert_eq!(left.filter(|command| command.contains(&folder)).collect::<Vec<_>>(), [""; 0]);
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    assert!(folders.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(&folder)));
}
