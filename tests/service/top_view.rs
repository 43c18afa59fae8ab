//! What `throng top` shows: of a made-up snapshot at every size, and of a real hub as text.

use crate::server::process::{Process, throng};
use crate::server::{Client, KEY, Raw, stream_with_buffer, within};
use serde_json::{Value, json};
use std::process::Output;
use throng::top::{Medium, Sample, Screen, Snapshot, printed};

/// A metrics page after the given number of deliveries.
fn page(deliveries: u32) -> Sample {
    Sample::parse(&format!(
        "throng_build_info{{version=\"0.9.1\"}} 1\nthrong_connections_max 18000\nthrong_draining 0\n\
         process_resident_memory_bytes 52428800\n\
         throng_connections{{shard=\"0\"}} 600\nthrong_connections{{shard=\"1\"}} 634\n\
         throng_deliveries_total{{shard=\"0\"}} {deliveries}\nthrong_deliveries_total{{shard=\"1\"}} 0\n\
         throng_sends_total{{shard=\"0\"}} {}\nthrong_sends_total{{shard=\"1\"}} 0\n\
         throng_history_bytes 2097152\nthrong_history_bytes_max 67108864\n\
         throng_api_requests_total{{method=\"publish\",code=\"0\"}} {deliveries}\n\
         throng_api_requests_total{{method=\"batch\",code=\"107\"}} {}\n\
         throng_recoveries_total {}\nthrong_recoveries_incomplete_total {}\n\
         throng_parked{{shard=\"0\"}} 3\nthrong_lag_bytes{{shard=\"0\"}} 204800\n\
         throng_delivery_seconds_bucket{{le=\"0.005\",shard=\"0\"}} {deliveries}\n\
         throng_delivery_seconds_bucket{{le=\"+Inf\",shard=\"0\"}} {deliveries}\n",
        deliveries / 16,
        deliveries / 100,
        deliveries / 10,
        deliveries / 1000,
    ))
}

fn connection(number: usize) -> Value {
    json!({
        "id": format!("0/{number}.0"), "client": "2001:db8::1234", "state": "open", "age_seconds": 200,
        "channels": ["lobby", "news"], "channels_total": 3, "queued_bytes": 204_800 - number,
        "stalled_seconds": 1.5, "round_trip_seconds": 0.0123, "unsent_bytes": 8192, "retransmitted_segments": 7
    })
}

fn shown(connections: Result<Vec<Value>, String>, size: (u16, u16)) -> String {
    let channel = json!({
        "channel": "lobby", "subscribers": 1234, "publications": 98_765, "publications_per_second": 512.0
    });
    let (before, now) = (page(0), page(16_000));
    let mut screen = Screen::new("http://hub:8080".to_owned(), Medium::Coloured);
    screen.show(Snapshot::new(Some(&before), now, connections, Ok(vec![channel])));
    printed(&screen, size)
}

/// The narrowest terminal that people have, and a wide one.
#[test]
fn everything_that_matters_is_on_the_screen_at_every_size() {
    for size in [(80, 24), (100, 30), (140, 40), (200, 60)] {
        let text = shown(Ok((0..100).map(connection).collect()), size);
        for part in [
            "throng 0.9.1",
            "http://hub:8080",
            "serving",
            "1.23k of 18.0k",
            "per write 16.0",
            "p99 5.00ms",
            "50.0 MiB",
            "refused 0/s",
            "history 2.00 MiB of 64.0 MiB",
            "200 KiB",
            "1.50s",
            "12.3ms",
            "8.00 KiB",
            "3m20s",
            "lobby",
            "98.8k",
            "512",
        ] {
            assert!(text.contains(part), "{part} is not on {size:?}:\n{text}");
        }
        // The rates are over the time between two samples, which is not known; their ratios are.
        let backends = text.lines().nth(3).unwrap_or_default();
        // They may be so large that the last one is beyond 80 columns.
        let names = ["api ", "errors ", "recovered ", "gaps "];
        let names = if size.0 < 100 { &names[..3] } else { &names };
        assert!(names.iter().all(|name| backends.contains(name)), "{backends}");
        assert!(!backends.contains(" 0/s"), "{backends}");
        assert!(text.lines().count() <= usize::from(size.1) && text.lines().any(|line| line.starts_with("q quit")));
        let rows = text.lines().filter(|line| line.contains("2001:db8::1234")).count();
        assert!(rows + 18 >= usize::from(size.1), "{rows} connections on {size:?}:\n{text}");
        assert_eq!(text.contains("0/1.0"), size.0 >= 110, "a wide screen shows names");
    }
}

/// A snapshot goes into a terminal or a ticket, where the room for further rows would be a gap in the middle.
#[test]
fn printed_snapshot_has_no_empty_lines() {
    let mut screen = Screen::new("http://hub:8080".to_owned(), Medium::Printed);
    screen.show(Snapshot::new(None, page(0), Ok(vec![connection(0)]), Ok(vec![])));
    let text = printed(&screen, (120, 38));
    assert!(text.lines().all(|line| !line.is_empty()), "{text}");
    assert!(text.contains("2001:db8::1234") && text.contains("channels by publications per second"), "{text}");
}

/// Only a hub with an application has the line about it, so the others have room for a connection more.
#[test]
fn application_has_a_line_where_there_is_one() {
    let page = |asked: u32, failed: u32| {
        Sample::parse(&format!(
            "throng_connections{{shard=\"0\"}} 1\n\
             throng_hook_requests_total{{hook=\"publish\",outcome=\"result\"}} {asked}\n\
             throng_hook_requests_total{{hook=\"publish\",outcome=\"timeout\"}} {failed}\n\
             throng_hook_request_duration_seconds_bucket{{hook=\"publish\",le=\"0.005\"}} {asked}\n\
             throng_hook_request_duration_seconds_bucket{{hook=\"publish\",le=\"+Inf\"}} {asked}\n\
             throng_events_sent_total {asked}\nthrong_events_lost_total {failed}\n"
        ))
    };
    let shown = |before: Option<&Sample>, now: Sample| {
        let mut screen = Screen::new("http://hub:8080".to_owned(), Medium::Plain);
        screen.show(Snapshot::new(before, now, Ok(vec![]), Ok(vec![])));
        printed(&screen, (80, 24))
    };
    let text = shown(Some(&page(0, 0)), page(16_000, 160));
    let line = text.lines().nth(4).unwrap_or_default();
    let names = ["hooks ", "failed ", "p99 5.00ms", "events ", "lost "];
    assert!(names.iter().all(|name| line.contains(name)) && !line.contains(" 0/s"), "{text}");
    let text = shown(Some(&page(160, 3)), page(160, 3));
    let line = text.lines().nth(4).unwrap_or_default();
    assert!(line.starts_with("hooks 0/s  failed 0/s  p99 -  events 0/s  lost 0/s"), "{text}");
    assert!(!shown(None, Sample::parse("throng_connections{shard=\"0\"} 1\n")).contains("hooks"));
}

/// Old figures must not look like those of a hub that serves, and a small screen shows the state first.
#[test]
fn first_line_says_that_a_hub_is_silent_or_the_view_paused() {
    let mut screen = Screen::new("http://hub:8080".to_owned(), Medium::Plain);
    screen.show(Snapshot::new(None, page(0), Ok(vec![]), Ok(vec![])));
    let first = |screen: &Screen| printed(screen, (40, 20)).lines().next().unwrap_or_default().to_owned();
    assert!(first(&screen).starts_with("throng 0.9.1  serving"), "{}", first(&screen));
    screen.toggle_pause();
    assert!(first(&screen).starts_with("throng 0.9.1  paused"), "{}", first(&screen));
    screen.show_error("no answer from hub:8080".to_owned());
    let text = first(&screen);
    assert!(text.starts_with("throng 0.9.1  no answer for ") && !text.contains("serving"), "{text}");
}

/// Half a column says nothing: a narrow screen has fewer columns, each of them whole.
#[test]
fn narrow_screen_has_fewer_columns_and_each_is_whole() {
    for width in [30, 40, 50, 60, 70, 76, 80, 110] {
        let text = shown(Ok(vec![connection(0)]), (width, 24));
        let lines: Vec<_> = text.lines().collect();
        for title in ["shards", "connections by"] {
            let at = lines.iter().position(|line| line.starts_with(title)).unwrap() + 1;
            let known = [
                "shard",
                "connections",
                "channels",
                "deliver/s",
                "per",
                "write",
                "p99",
                "parked",
                "lag",
                "inbox",
                "queued",
                "stalled",
                "age",
                "rtt",
                "unsent",
                "resent",
                "state",
                "id",
                "client",
            ];
            let words: Vec<_> = lines[at].split_whitespace().collect();
            // The name of the last column may be cut, as the names of channels are.
            let whole = if title == "shards" { &words[..] } else { &words[..words.len() - 1] };
            assert!(whole.iter().all(|word| known.contains(word)), "{width}: {}", lines[at]);
            assert!(words.len() >= 2, "{width}: {}", lines[at]);
        }
    }
}

/// Nothing that a terminal can be, or be made, ends the program.
#[test]
fn no_size_is_too_small() {
    for size in [(1, 1), (5, 3), (20, 8), (80, 5), (300, 100)] {
        shown(Ok(vec![connection(0)]), size);
    }
}

/// Without a key half of it is still worth looking at, and the rest says what to do.
#[test]
fn list_that_is_not_told_says_why_in_its_place() {
    let text = shown(Err("give one of the hub's --admin-keys with --key".to_owned()), (80, 24));
    assert!(text.contains("per write 16.0") && text.contains("give one of the hub's --admin-keys"), "{text}");
}

#[test]
fn keys_sort_scroll_pause_and_help() {
    let mut screen = Screen::new("http://hub:8080".to_owned(), Medium::Plain);
    assert!(printed(&screen, (80, 24)).contains("asking http://hub:8080"));
    screen.show_error("no answer from hub:8080".to_owned());
    assert!(printed(&screen, (80, 24)).contains("no answer from hub:8080"));
    screen.show(Snapshot::new(None, page(0), Ok((0..100).map(connection).collect()), Ok(vec![])));
    let text = printed(&screen, (140, 40));
    assert!(text.contains("by lag") && text.contains(" 0/0.0 ") && text.contains("counting ..."), "{text}");
    screen.scroll(10);
    let text = printed(&screen, (140, 40));
    assert!(text.contains("from 11 on") && !text.contains(" 0/9.0 ") && text.contains(" 0/10.0 "), "{text}");
    screen.scroll(-100);
    screen.next_sort();
    assert_eq!(screen.sort(), "stalled");
    screen.toggle_pause();
    screen.toggle_help();
    let text = printed(&screen, (80, 24));
    assert!(text.contains("from arrival to the last write") && text.contains("paused"), "{text}");
    screen.toggle_help();
    assert!(printed(&screen, (80, 24)).contains("channels by publications per second"), "{text}");
    screen.next_channel_sort();
    assert!(printed(&screen, (80, 24)).contains("channels by subscribers"));
    screen.show_error("no answer from hub:8080".to_owned());
    assert!(printed(&screen, (80, 24)).contains("no answer from hub:8080; trying again"));
}

async fn top(arguments: &[&str], key: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = throng(&[&["top", "--interval", "200ms"], arguments].concat());
    command.env_remove("THRONG_TOP_KEY").envs(key.map(|key| ("THRONG_TOP_KEY", key)));
    let Output { status, stdout, stderr } = within(command.output()).await.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (status.code(), text(stdout), text(stderr))
}

/// A script gets what a person sees, of a real hub with a client that does not read.
#[tokio::test]
async fn real_hub_is_printed_when_nobody_watches() {
    let patient = ["--outbox-bytes-max", "16777216", "--outbox-stall-max", "1h"];
    let process = Process::start(&[&["--admin-keys", KEY, "--shards", "1"], &patient[..]].concat()).await;
    let url = format!("http://{}", process.addr);
    let _slow = Raw::over(stream_with_buffer(process.addr, 4096).await, "/ws?channel=crowded", &[]).await;
    let mut sender = Client::connect(process.addr, "/ws?channel=crowded").await;
    // Beyond all that the kernel may hold for it.
    for _ in 0..100 {
        sender.send("x".repeat(60_000)).await;
        sender.line().await;
    }
    let (code, text, error) = top(&["--url", &url], Some(KEY)).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(text.starts_with("throng 0."), "{text}");
    let slow = text.lines().find(|line| line.contains("open") && line.contains(" MiB")).unwrap_or_default();
    assert!(slow.contains("127.0.0.1") && slow.contains("crowded"), "{text}");
    let channel = text.lines().last().unwrap_or_default();
    assert!(channel.contains(" 100 ") && channel.ends_with(" 2 crowded"), "{text}");

    let (code, text, _) = top(&["--url", &url, "--once"], None).await;
    assert!(code == Some(0) && text.contains("give one of the hub's --admin-keys with --key"), "{text}");
    let (code, text, _) = top(&["--url", &url, "--key", "0123456789abcdeX"], None).await;
    assert!(code == Some(0) && text.contains("the key is none of the hub's --admin-keys"), "{text}");
}

#[tokio::test]
async fn hub_that_is_not_there_and_wrong_options_are_said_clearly() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, error) = top(&["--url", &format!("http://{gone}")], None).await;
    assert_eq!(code, Some(1));
    assert!(error.starts_with(&format!("throng top: no answer from {gone}: ")), "{error}");
    let (code, _, error) = top(&["--url", "https://hub"], None).await;
    assert!(code == Some(2) && error.contains("--internal-addr"), "{error}");
    let (code, text, _) = top(&["--help"], None).await;
    assert!(code == Some(0) && text.contains("THRONG_TOP_KEY") && text.contains("q quits"), "{text}");
    let process = Process::start(&["--internal-addr", "127.0.0.1:0"]).await;
    let (code, _, error) = top(&["--url", &format!("http://{}", process.addr)], None).await;
    assert!(code == Some(1) && error.contains("has no /metrics; give the hub's --internal-addr"), "{error}");
}
