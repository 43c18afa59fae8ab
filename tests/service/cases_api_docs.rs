//! The examples of docs/backend.md, run as they are written where their language is installed.

#![expect(clippy::print_stderr, reason = "what was not checked is said")]

use crate::server::{start, within};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

const KEY: &str = "a-key-of-backends";

/// An example: the program that runs it, the lines, and what it publishes.
struct Example {
    program: String,
    code: String,
    line: String,
}

/// Returns the code behind each comment `<!-- example: PROGRAM -->`.
fn examples() -> Vec<Example> {
    let page = include_str!("../../docs/backend.md");
    let parts = page.split("<!-- example: ").skip(1);
    let examples = parts.map(|part| {
        let (program, rest) = part.split_once(" -->").expect("the comment ends");
        let code = rest.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).expect("a fence").1;
        let code = code.split_once("\n```").expect("the fence ends").0;
        let at = code.find("hello from ").expect("it says hello");
        let line: String = code[at..].chars().take_while(|one| one.is_ascii_alphanumeric() || *one == ' ').collect();
        Example { program: program.to_owned(), code: code.to_owned(), line }
    });
    examples.collect()
}

/// Returns the commands that run an example in this folder.
fn commands(program: &str) -> Vec<Vec<&str>> {
    match program {
        "curl" => vec![vec!["sh", "-e", "example"]],
        "go" => vec![vec!["mv", "example", "example.go"], vec!["go", "run", "example.go"]],
        "rustc" => vec![vec!["rustc", "--edition", "2021", "example", "-o", "program"], vec!["./program"]],
        "node" => vec![vec!["mv", "example", "example.mjs"], vec!["node", "example.mjs"]],
        other => vec![vec![other, "example"]],
    }
}

async fn is_installed(program: &str) -> bool {
    let version = if program == "go" { "version" } else { "--version" };
    let status = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

/// A newcomer copies an example and expects it to work.
#[tokio::test]
async fn every_example_of_the_document_publishes_what_it_says() {
    let examples = examples();
    assert_eq!(examples.len(), 6, "curl, Python, Node, Go, PHP and Rust");
    let server = start(|config| config.api.api_keys = vec![KEY.parse().expect("it is a key")]).await;
    let mut client = server.connect("/ws?channel=demo").await;
    let (mut run, hub) = (0, server.addr.to_string());
    for Example { program, code, line } in examples {
        if !is_installed(&program).await {
            eprintln!("not checked: {program} is not installed");
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("example"), code).expect("it is written");
        for command in commands(&program) {
            execute(&command, folder.path(), &hub).await;
        }
        assert_eq!(client.line().await, line, "{program}");
        run += 1;
    }
    assert!(run > 0, "no language is installed");
}

async fn execute(command: &[&str], folder: &Path, hub: &str) {
    let mut child = Command::new(command[0]);
    child.args(&command[1..]).current_dir(folder).env("HUB", hub).env("KEY", KEY).env("HOME", folder);
    // rustup finds its programs by the home of the user.
    if let Some(home) = std::env::var_os("HOME") {
        let keep =
            |name: &str, default: &str| std::env::var_os(name).unwrap_or_else(|| Path::new(&home).join(default).into());
        child.env("RUSTUP_HOME", keep("RUSTUP_HOME", ".rustup")).env("CARGO_HOME", keep("CARGO_HOME", ".cargo"));
    }
    let output = within(child.kill_on_drop(true).output()).await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}
