//! Settings: what check-config calls valid starts and serves, and what the surroundings inject is no complaint.

use crate::server::process::{Process, fails, rest, throng};
use crate::server::{exchange, within};
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};
use std::net::SocketAddr;
use std::time::Duration;
use throng::config::Config;
use throng::config::section::{Section, single_settings};
use throng::config::setting::{Kind, Setting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use futures_util::{SinkExt, StreamExt};

async fn output(arguments: &[String], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = throng(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.envs(variables.iter().copied());
    let output = within(command.output()).await.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// How a hub treats a client that says something in the lobby.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Treated {
    /// It gets its line back.
    Served,
    /// It may not subscribe, or not publish.
    Denied,
}

impl Treated {
    /// Returns what these settings ask for.
    fn by(arguments: &[String]) -> Self {
        let value = |flag: &str| arguments.iter().rev().find_map(|one| one.strip_prefix(flag)).map(str::trim);
        let may_subscribe = matches!(value("--allow-subscribe="), None | Some("" | "everyone"));
        let may_publish = matches!(value("--allow-publish="), None | Some("" | "everyone" | "subscribers"));
        if may_subscribe && may_publish { Self::Served } else { Self::Denied }
    }
}

/// Makes one handshake and says one line; `None` if a time that is set very short ended it first.
async fn try_round_trip(addr: SocketAddr) -> Option<Treated> {
    let stream = TcpStream::connect(addr).await.ok()?;
    let mut socket = match tokio_tungstenite::client_async("ws://throng.test/ws", stream).await {
        Ok((socket, _)) => socket,
        Err(Error::Http(answer)) if answer.status() == 403 => return Some(Treated::Denied),
        Err(_) => return None,
    };
    socket.send(Message::text("x")).await.ok()?;
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) if text == "x" => return Some(Treated::Served),
            Message::Close(close) => {
                return close.filter(|close| u16::from(close.code) == 4507).map(|_| Treated::Denied);
            }
            _ => {}
        }
    }
}

/// Asks whether the hub is ready; `None` if a time that is set very short ended the request first.
async fn try_ready(addr: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer).filter(|answer| !answer.is_empty())
}

/// Returns how a hub treats a connection. The shortest times of all end it now and then on a busy machine.
async fn treats(addr: SocketAddr) -> Option<Treated> {
    for _ in 0..200 {
        if let Some(treated) = within(try_round_trip(addr)).await {
            return Some(treated);
        }
    }
    None
}

/// Starts a hub with settings that check-config accepted, and checks that it serves and stops.
async fn check_served(arguments: &[String]) {
    let mut all = vec!["--addr=127.0.0.1:0".to_owned(), "--lb-grace=0s".to_owned(), "--drain-time=0s".to_owned()];
    all.retain(|one| !arguments.iter().any(|given| given.split('=').next() == one.split('=').next()));
    all.extend(arguments.iter().cloned());
    let mut command = throng(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let process = Process::spawn(&mut command).await;
    assert_eq!(treats(process.addr).await, Some(Treated::by(arguments)), "{arguments:?}");
    // Not only until the hub looks at its memory for the first time.
    let mut answers = 0;
    for _ in 0..200 {
        if answers == 20 {
            break;
        }
        if let Some(answer) = within(try_ready(process.addr)).await {
            let is_fine = ["ready\n", "full\n"].iter().any(|body| answer.ends_with(body));
            assert!(is_fine, "{arguments:?}: {answer}");
            answers += 1;
        }
    }
    assert!(answers > 0, "{arguments:?}: /health/ready was never answered");
    // Not only the first line: a panic would end it with another code.
    process.signal(rustix::process::Signal::INT);
    assert_eq!(process.ended().await.code(), Some(0), "{arguments:?}");
}

fn settings() -> impl Iterator<Item = (&'static Section, &'static Setting)> {
    single_settings(Config::SCHEMA)
}

/// Returns the edges of a setting as flags have them.
fn edges(setting: &Setting) -> Vec<String> {
    match setting.kind {
        Kind::Switch => vec!["true".to_owned(), "false".to_owned()],
        Kind::Number(_, range) => {
            let mut values = vec![range.min, range.max];
            values.extend(range.has_off.then_some(0));
            values.iter().map(u64::to_string).collect()
        }
        Kind::Duration(range) => {
            let mut values = vec![range.min, range.max];
            values.extend(range.has_off.then_some(0));
            values.into_iter().map(|nanos| format!("{nanos}ns")).collect()
        }
        Kind::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Kind::Text(_) | Kind::List(_) | Kind::Secrets(_) | Kind::Secret(_) => Vec::new(),
    }
}

/// Settings that need another one to be valid at their edge.
fn companions(key: &str, value: &str) -> Vec<String> {
    match (key, value) {
        // A message of the largest size has to fit.
        ("message_bytes_max", _) => vec!["--outbox-bytes-max=1GiB".to_owned()],
        ("outbox_bytes_max", _) => vec!["--message-bytes-max=1".to_owned()],
        // A pong comes before the next ping.
        ("ping_interval", _) => vec!["--pong-timeout=1ms".to_owned()],
        ("pong_timeout", _) => vec!["--ping-interval=1day".to_owned()],
        // A history has a size and a time, and some options need one.
        ("history_size", _) => vec!["--history-ttl=5m".to_owned()],
        ("recovery" | "positioning", "true") => vec!["--history-size=9".to_owned(), "--history-ttl=5m".to_owned()],
        ("join_leave", "true") => vec!["--presence".to_owned()],
        ("publish_bytes_max", _) => vec!["--message-bytes-max=64MiB".to_owned(), "--outbox-bytes-max=1GiB".to_owned()],
        _ => Vec::new(),
    }
}

/// A panic at the first connection is the worst way to learn of a bound: every bound is tried.
#[tokio::test(flavor = "multi_thread")]
async fn every_setting_at_both_its_bounds_starts_and_serves() {
    let mut tried = 0;
    for (_, setting) in settings() {
        for value in edges(setting) {
            let mut arguments = companions(setting.key, &value);
            arguments.push(format!("--{}={value}", setting.flag()));
            let check = [&["check-config".to_owned(), "--addr=127.0.0.1:0".to_owned()], &arguments[..]].concat();
            let (code, _, error) = output(&check, &[]).await;
            if code != Some(0) {
                let expected = match setting.key {
                    // The shortest interval between pings has no room for a pong before it.
                    "ping_interval" | "pong_timeout" => "is not shorter than",
                    // Without a key, which a flag cannot hold, nobody could connect.
                    "token_required" => "no token could be verified",
                    // Nor a hook, which could decide.
                    "allow_subscribe" | "allow_publish" => "there is no [[hook]]",
                    "allow_presence" | "allow_history" => "cannot be hook",
                    // Its smallest value is for one shard, and there is one for each core.
                    "memory_max" => "raise it or lower --shards",
                    // Nor a cluster, without servers.
                    "engine" => "needs --nats-servers",
                    _ => panic!("{arguments:?}: {error}"),
                };
                assert!(error.contains(expected), "{arguments:?}: {error}");
                continue;
            }
            check_served(&arguments).await;
            tried += 1;
        }
    }
    assert!(tried > 60, "only {tried} values were tried: has the schema changed?");
}

/// Returns values of one setting: in range, at its edges, beyond them, and nonsense.
fn values(setting: &'static Setting) -> BoxedStrategy<String> {
    let nonsense = prop_oneof![Just("-1".to_owned()), Just("18446744073709551616".to_owned()), "[a-z ]{0,6}"];
    let known = match setting.kind {
        Kind::Number(_, range) => {
            let scales = (0..=63_u32).prop_map(|bits| 1_u64 << bits);
            prop_oneof![scales.clone(), Just(range.min), Just(range.max), scales.prop_map(|one| one.saturating_sub(1))]
                .prop_map(|number| number.to_string())
                .boxed()
        }
        Kind::Duration(_) => (0..=63_u32)
            .prop_map(|bits| humantime::format_duration(Duration::from_nanos(1 << bits)).to_string())
            .boxed(),
        Kind::Choice(words) => proptest::sample::select(words).prop_map(str::to_owned).boxed(),
        Kind::Switch => proptest::sample::select(&["true", "no", "1", "off"][..]).prop_map(str::to_owned).boxed(),
        Kind::Text(_) | Kind::List(_) | Kind::Secrets(_) | Kind::Secret(_) => texts(setting.key).boxed(),
    };
    prop_oneof![9 => known, 1 => nonsense].boxed()
}

fn texts(key: &str) -> proptest::sample::Select<String> {
    let of = |words: &[&str]| proptest::sample::select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    match key {
        "log" => of(&["warn", "warning", "throng::hub=debug,info", " error\n"]),
        "admin_keys" => {
            of(&["0123456789abcdef", "0123456789abcdef, ghijklmnopqrstuv ", "short", "0123456789abcde\u{1}"])
        }
        "limits_exempt" | "trusted_proxies" => of(&["10.0.0.0/8, 192.168.0.0/16", "::1", "10.0.0.0/33", "127.0.0.1,"]),
        "allowed_origins" => of(&["https://example.com", "https://*.example.com , http://x", "example.com"]),
        "unix_mode" => of(&["660", "0666", "888", "7777"]),
        "internal_addr" => of(&["127.0.0.1:0", "[::1]:0", "localhost:0", "300.1.1.1:0", ":0", ""]),
        _ => of(&["", " "]),
    }
}

/// The promise of check-config, over random sets of settings: what it accepts starts and serves a connection, and what
/// it refuses does not start.
#[test]
fn whatever_check_config_accepts_starts_and_serves_a_connection() {
    // The address is the test's own, and other names for this hub would rightly keep the test out.
    let is_chosen = |setting: &&Setting| !["addr", "allowed_hosts"].contains(&setting.key);
    let all: Vec<_> = settings().map(|(_, setting)| setting).filter(is_chosen).collect();
    let strategy = proptest::sample::subsequence(all, 1..=6).prop_flat_map(|chosen| {
        chosen.into_iter().map(|setting| values(setting).prop_map(move |value| (setting, value))).collect::<Vec<_>>()
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("it starts");
    let (accepted, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let runs = Runs { cases: 60, failure_persistence: None, max_shrink_iters: 30, ..Runs::default() };
    let result = TestRunner::new(runs).run(&strategy, |chosen| {
        let mut arguments = vec!["--addr=127.0.0.1:0".to_owned()];
        arguments.extend(chosen.iter().map(|(setting, value)| format!("--{}={value}", setting.flag())));
        runtime.block_on(async {
            let check = [&["check-config".to_owned()], &arguments[..]].concat();
            if output(&check, &[]).await.0 == Some(0) {
                check_served(&arguments).await;
                accepted.set(accepted.get() + 1);
            } else {
                let (code, _) = fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
                prop_assert_eq!(code, Some(2), "{:?} is refused by check-config and started", arguments);
                refused.set(refused.get() + 1);
            }
            Ok(())
        })
    });
    assert!(result.is_ok(), "{result:?}");
    assert!(accepted.get() > 3 && refused.get() > 3, "{accepted:?} accepted, {refused:?} refused");
}

/// The recipes of three reports: a time that overflows a clock ended the start, or each connection.
#[tokio::test]
async fn time_without_a_bound_is_refused_by_name() {
    let times: Vec<_> = settings().filter(|(_, setting)| matches!(setting.kind, Kind::Duration(_))).collect();
    assert!(times.len() >= 12, "has the schema changed?");
    for (_, setting) in times {
        let flag = format!("--{}", setting.flag());
        let arguments = ["check-config".to_owned(), flag.clone(), "18446744073709551615s".to_owned()];
        let (code, _, error) = output(&arguments, &[]).await;
        assert!(code == Some(2) && error.contains(&flag) && error.contains(" and "), "{flag}: {error}");
    }
}

/// A Service named throng gives every pod of its namespace such variables: neither check-config nor the log complains.
#[tokio::test]
async fn service_links_of_kubernetes_are_no_complaints() {
    let links = [
        ("THRONG_SERVICE_HOST", "10.0.0.1"),
        ("THRONG_SERVICE_PORT", "80"),
        ("THRONG_SERVICE_PORT_HTTP", "80"),
        ("THRONG_PORT", "tcp://10.0.0.1:80"),
        ("THRONG_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("THRONG_PORT_80_TCP_PROTO", "tcp"),
        ("THRONG_PORT_80_TCP_PORT", "80"),
        ("THRONG_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("THRONG_INTERNAL_ADDR", ""),
        ("THRONG_ADMIN_KEYS", ""),
        ("THRONG_ECHO", "0"),
    ];
    let (code, _, error) = output(&["check-config".to_owned()], &links).await;
    assert_eq!((code, &*error), (Some(0), ""));
    let (process, log) = Process::spawn_logging(throng(&["--addr", "127.0.0.1:0", "--lb-grace=0s"]).envs(links)).await;
    process.signal(rustix::process::Signal::INT);
    assert!(process.ended().await.success());
    let log = rest(log).await;
    assert!(!log.contains("is not a setting"), "{log}");
}

/// `echo key | base64` in a Secret ends with a newline, and people write a space after a comma.
#[tokio::test]
async fn keys_work_as_people_write_them() {
    let keys = "0123456789abcdef\n, fedcba9876543210 \r\n";
    let process = Process::spawn(throng(&["--addr", "127.0.0.1:0"]).env("THRONG_ADMIN_KEYS", keys)).await;
    for (key, status) in [("0123456789abcdef", 200), ("fedcba9876543210", 200), ("fedcba9876543211", 401)] {
        let request = format!("GET /admin/drain HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(process.addr, request.as_bytes()).await.status, status, "{key}");
    }
    let url = format!("http://{}", process.addr);
    let arguments = ["top", "--once", "--url", &url, "--interval", "200ms"].map(str::to_owned);
    let (code, shown, error) = output(&arguments, &[("THRONG_TOP_KEY", "0123456789abcdef\n")]).await;
    assert!(code == Some(0) && !shown.contains("--admin-keys"), "{shown}{error}");
    let (code, _, error) = output(&arguments, &[("THRONG_TOP_KEY", "0123456789\u{1}bcdef")]).await;
    assert!(code == Some(2) && error.contains("no header can carry") && !error.contains("bcdef"), "{error}");
    let (code, _, _) = output(&arguments, &[("THRONG_TOP_KEY", "")]).await;
    assert_eq!(code, Some(0), "an empty key is none");
}

/// One item of a list in a file is one key, whatever is in it.
#[tokio::test]
async fn key_with_a_comma_is_one_key_in_a_file() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.toml");
    let text =
        "\u{feff}addr = [\"127.0.0.1:0\"]\r\n[access]\r\nadmin_keys = [\"0123456789abcdef,ghijklmnopqrstuv\"]\r\n";
    std::fs::write(&path, text).expect("it is ours");
    let process = Process::spawn(&mut throng(&["--config", path.to_str().expect("it is text")])).await;
    for (key, status) in [("0123456789abcdef,ghijklmnopqrstuv", 200), ("0123456789abcdef", 401)] {
        let request = format!("GET /admin/drain HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(process.addr, request.as_bytes()).await.status, status, "{key}");
    }
}
