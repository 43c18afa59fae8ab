//! `throng gen-token` and `throng check-token`, as a person uses them: output, advice, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::process::{Process, throng};
use crate::server::{Client, within};
use crate::tokens::{SECRET, claims, table, token};
use std::process::Stdio;
use throng::config::TokenAlgorithm;
use tokio::io::AsyncWriteExt;

/// A file of settings that is gone with the test.
struct File {
    _folder: tempfile::TempDir,
    path: String,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.toml");
        std::fs::write(&path, text).unwrap();
        Self { path: path.to_str().unwrap().to_owned(), _folder: folder }
    }
}

async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = within(throng(arguments).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// From nothing to a connection: make a token, look at it, use it.
#[tokio::test]
async fn token_that_is_made_is_valid_and_opens_a_connection() {
    let keys = format!("{}{}", table(TokenAlgorithm::Es256, None), table(TokenAlgorithm::Hs384, Some("k")));
    let rules = "[token]\ntoken_required = true\ntoken_audience = \"chat\"\ntoken_issuer = \"me\"\n";
    let file = File::new(&format!("{rules}{keys}"));
    let config = ["--config", file.path.as_str()];
    let arguments = [&["gen-token", "--user", "42", "--ttl", "5m", "--channel", "news"][..], &config].concat();
    let (code, made, error) = run(&arguments).await;
    assert_eq!((code, error.as_str(), made.lines().count()), (Some(0), "", 1));

    let (code, shown, error) = run(&[&["check-token", made.trim()][..], &config].concat()).await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{shown}");
    for part in ["\"alg\": \"HS384\"", "\"kid\": \"k\"", "\"sub\": \"42\"", "\"news\"", "\"aud\": \"chat\""] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("valid: user 42; the connection expires 2"), "{shown}");
    let process = Process::start(&config).await;
    let mut client = Client::connect(process.addr, &format!("/ws?token={}", made.trim())).await;
    let mut news = Client::connect(process.addr, &format!("/ws?channel=news&token={}", made.trim())).await;
    client.send("hello").await;
    assert_eq!(news.line().await, "hello");
}

/// Exit code 1 for a token that is not valid, with what is in it and the reason; 2 for what is not a question.
#[tokio::test]
async fn token_that_is_not_valid_is_shown_with_the_reason() {
    let file = File::new(&table(TokenAlgorithm::Hs256, None));
    let config = ["--config", file.path.as_str()];
    let mut expired = claims("42");
    expired["exp"] = 1.into();
    for (token, expected) in [
        (token(&expired), "not valid: the token has expired (exp)"),
        (format!("{}x", token(&claims("42"))), "not valid: the signature of the token is wrong"),
        ("nonsense".to_owned(), "not valid: the token is not three parts"),
    ] {
        let (code, shown, error) = run(&[&["check-token", &token][..], &config].concat()).await;
        assert_eq!((code, error.as_str()), (Some(1), ""), "{shown}");
        assert!(shown.contains(expected), "{shown}");
    }
    let (code, shown, _) = run(&["check-token", &token(&claims("42"))]).await;
    assert!(code == Some(1) && shown.contains("not valid: no tokens are accepted here"), "{shown}");
    let (code, shown, _) = run(&["check-token", &token(&claims("42")), "--config", "/no/such/file"]).await;
    assert_eq!((code, shown.as_str()), (Some(2), ""));
    let (code, _, error) = run(&["check-token"]).await;
    assert!(code == Some(2) && error.contains("<TOKEN>"), "{error}");
    let key_set = File::new("[token]\njwks_url = \"http://127.0.0.1:1/\"\n");
    let (_, shown, _) = run(&["check-token", &token(&claims("42")), "--config", &key_set.path]).await;
    assert!(shown.contains("it may be in the key set of --jwks-url, which this command does not read"), "{shown}");
}

/// Arguments are visible to every user of a machine.
#[tokio::test]
async fn token_can_come_from_standard_input() {
    let file = File::new(&table(TokenAlgorithm::Hs256, None));
    let mut command = throng(&["check-token", "-", "--config", &file.path]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let text = format!("{}\n", token(&claims("42")));
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = within(child.wait_with_output()).await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && shown.contains("valid: user 42"), "{shown}");
}

/// What is missing is said, with what to write.
#[tokio::test]
async fn token_needs_a_secret_and_the_error_says_where() {
    let (code, printed, error) = run(&["gen-token", "--user", "42"]).await;
    assert_eq!((code, printed.as_str()), (Some(2), ""));
    assert!(error.contains("there is no [[token_key]] that has a secret") && error.contains("secret = "), "{error}");
    let file = File::new(&format!("{}{}", table(TokenAlgorithm::Es256, Some("e")), table(TokenAlgorithm::Hs256, None)));
    let (code, _, error) = run(&["gen-token", "--kid", "e", "--config", &file.path]).await;
    assert!(code == Some(2) && error.contains("there is no [[token_key]] with the ID e that has a secret"), "{error}");
    let (code, _, error) = run(&["gen-token", "--ttl", "soon"]).await;
    assert!(code == Some(2) && error.contains("--ttl"), "{error}");
    let (code, made, _) = run(&["gen-token", "--config", &file.path]).await;
    assert!(code == Some(0) && !made.contains(SECRET));
    let (_, shown, _) = run(&["check-token", made.trim(), "--config", &file.path]).await;
    assert!(shown.contains("valid: an anonymous client"), "{shown}");
}
