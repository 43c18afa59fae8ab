//! The command line as a newcomer meets it: commands, help, and errors that name what to change.

use crate::server::process::throng;
use crate::server::within;

async fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = within(throng(arguments).output()).await.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const COMMANDS: [&str; 9] =
    ["check-config", "default-config", "config-doc", "gen-token", "check-token", "cluster", "import", "top", "help"];

/// Returns the column in which the second part of a line of the list of commands begins.
fn column(line: &str) -> Option<usize> {
    let (command, rest) = line.trim_start().split_once("  ")?;
    Some(line.len() - rest.trim_start().len()).filter(|_| !command.is_empty())
}

/// A newcomer types what other servers have, or mistypes what this one has.
#[tokio::test]
async fn commands_are_found_from_a_typing_error() {
    for (word, advice) in [
        ("serve", "there is no command serve; a hub needs none: leave the word out"),
        ("run", "there is no command run; a hub needs none: leave the word out"),
        ("toop", "there is no command toop; did you mean top?"),
        ("check", "there is no command check; did you mean check-config?"),
        ("chekc-config", "there is no command chekc-config; did you mean check-config?"),
        ("xyzzy", "there is no command xyzzy\n"),
    ] {
        let (code, printed, error) = output(&[word]).await;
        assert_eq!((code, &*printed), (Some(2), ""));
        assert!(error.contains(advice), "{error}");
        assert!(COMMANDS.iter().all(|command| error.contains(&format!("\n  {command}"))), "{error}");
    }
}

#[tokio::test]
async fn command_after_an_option_is_told_where_it_belongs() {
    let (code, _, error) = output(&["--shards", "2", "check-config"]).await;
    assert!(code == Some(2) && error.ends_with("A command comes first: throng check-config [OPTIONS]\n"), "{error}");
}

#[tokio::test]
async fn help_lists_the_commands_first_and_each_has_its_own_usage() {
    for arguments in [&["--help"][..], &["-h"], &["help"]] {
        let (code, help, _) = output(arguments).await;
        assert_eq!(code, Some(0));
        let begin: Vec<_> = help.lines().take(16).collect();
        let begin = begin.join("\n");
        assert!(begin.contains("Usage: throng [OPTIONS]\n       throng COMMAND"), "{begin}");
        assert!(COMMANDS.iter().all(|command| begin.contains(&format!("\n  {command}"))), "{begin}");
    }
    let (_, help, _) = output(&["help"]).await;
    let lines: Vec<_> = help.lines().skip_while(|line| *line != "Commands:").skip(1).take(COMMANDS.len()).collect();
    let first = lines.first().and_then(|line| column(line));
    assert!(first.is_some() && lines.iter().all(|line| column(line) == first), "{lines:#?}");
    for (command, usage) in [
        ("check-config", "Usage: throng check-config [FILE] [OPTIONS OF throng]\n"),
        ("default-config", "Usage: throng default-config\n"),
        ("config-doc", "Usage: throng config-doc\n"),
        ("gen-token", "Usage: throng gen-token [OPTIONS]\n"),
        ("check-token", "Usage: throng check-token [OPTIONS] <TOKEN>\n"),
        ("top", "Usage: throng top [OPTIONS]\n"),
    ] {
        for arguments in [[command, "--help"], [command, "-h"], ["help", command]] {
            let (code, help, error) = output(&arguments).await;
            assert_eq!((code, &*error), (Some(0), ""), "{arguments:?}");
            assert!(help.contains(usage), "{arguments:?}: {help}");
        }
        // An error too names the command that it is about.
        let (code, _, error) = output(&[command, "--no-such-flag"]).await;
        assert!(code == Some(2) && error.contains(usage.trim_end()), "{command}: {error}");
    }
}

/// `-h` is for a look, `--help` for reading.
#[tokio::test]
async fn short_help_is_one_sentence_per_flag() {
    let (_, short, _) = output(&["-h"]).await;
    let (_, long, _) = output(&["--help"]).await;
    assert!(short.lines().count() * 3 < long.lines().count(), "{} of {}", short.lines().count(), long.lines().count());
    assert!(short.lines().all(|line| line.chars().count() <= 120), "{short}");
    assert!(short.contains("Time between two pings to a connection [default: 54s]"), "{short}");
    assert!(!short.contains("gorilla") && long.contains("gorilla"), "reasons are for --help");
    assert!(long.contains("variable: THRONG_PING_INTERVAL]"), "{long}");
}

/// Sizes as people write them, in a flag and in a file.
#[tokio::test]
async fn sizes_take_units() {
    for (text, bytes) in [("1MiB", "1048576"), ("64k", "65536"), ("2 MB", "2000000"), ("65_536", "65536")] {
        let (code, printed, error) = output(&["check-config", "--outbox-bytes-max", text]).await;
        assert_eq!((code, &*error), (Some(0), ""));
        let is_default = bytes == "1048576";
        assert!(
            is_default || printed.contains(&format!("outbox_bytes_max = {bytes}  (--outbox-bytes-max)")),
            "{printed}"
        );
    }
    let (code, _, error) = output(&["check-config", "--outbox-bytes-max", "1 Megabyte"]).await;
    assert!(code == Some(2) && error.contains("\"1 Megabyte\" is not a size such as 65536, 64KiB or 2MB"), "{error}");
}

/// A level that does not exist would silence the log, errors included.
#[tokio::test]
async fn misspelt_log_level_is_refused_at_the_start_and_by_check_config() {
    for arguments in [&["--log", "warning"][..], &["check-config", "--log", "warning"]] {
        let (code, _, error) = output(arguments).await;
        assert!(code == Some(2) && error.contains("did you mean warn?") && error.contains("--log"), "{error}");
    }
}

/// The flag, the variable, or the line of the file that has to be changed.
#[tokio::test]
async fn error_names_the_flag_variable_or_line_that_a_value_came_from() {
    let (code, _, error) = output(&["--shards", "0"]).await;
    assert_eq!((code, &*error), (Some(2), "throng: --shards 0 is not between 1 and 64\n"));
    let (code, _, error) = output(&["--shards", "two"]).await;
    assert!(code == Some(2) && error.contains("'--shards <N>': \"two\" is not a whole number"), "{error}");
    let run = throng(&[]).env("THRONG_SHARDS", "0").output().await.expect("the binary runs");
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&run.stderr), "throng: THRONG_SHARDS: 0 is not between 1 and 64\n");
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.toml");
    std::fs::write(&path, "\nshards = 0\n").expect("it is ours");
    let path = path.to_str().expect("it is text");
    let (code, _, error) = output(&["--config", path]).await;
    assert_eq!((code, error), (Some(2), format!("throng: {path}:2:10: shards: 0 is not between 1 and 64\n")));
}
