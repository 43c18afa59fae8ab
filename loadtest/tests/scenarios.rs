//! Each scenario makes the load that its question needs and reports the figures that it promises. Most run against a
//! correct chat server for about a second; `faults.rs` has the faults.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use support::server::{Client, Service, chat_server, correct_server, start};
use support::{Run, SHORT_DRAIN, at_some_scale, raw_server, read_request, relay, run};

/// Returns the id of this process, which is also the server's.
fn own_pid() -> String {
    std::process::id().to_string()
}

fn expect_pass(scenario: &str, options: &[&str]) -> Run {
    let run = run(scenario, correct_server(), options);
    run.expect_pass();
    run
}

/// Returns the percentiles of a summary, in ascending order.
fn percentiles(summary: &Value) -> Vec<u64> {
    ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|name| summary[name].as_u64().unwrap()).to_vec()
}

fn deliveries(summary: &Value) -> u64 {
    summary["buckets"].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum()
}

/// Returns the intended send time in a record.
fn intended_ns(text: &str) -> u64 {
    u64::from_str_radix(&text[16..32], 16).unwrap()
}

#[test]
fn idle_measures_the_cost_of_a_connection() {
    let pid = own_pid();
    let options = ["--clients", "60", "--clients-low", "20", "--warmup", "200ms", "--server-pid", &pid];
    let run = expect_pass("idle", &options);
    assert_eq!(run.figure("/results/idle/connections_low"), 20.0);
    assert_eq!(run.figure("/results/idle/connections_high"), 60.0);
    assert!(run.figure("/results/idle/held_seconds") >= 0.3);
    assert!(run.figure("/results/idle/memory_high/server_rss") > 1e6);
    assert!(run.figure("/results/idle/memory_high/server_pss") > 1e6);
    assert_eq!(run.figure("/results/connections/opened"), 60.0);
    assert_eq!(run.figure("/results/connections/timed"), 40.0, "the second step");
    assert!(run.stdout.contains("server RSS/connection"), "{}", run.output());
}

/// Every delivery of the window's 30 messages is in a bucket of one of three processes. That includes the first
/// message, which is due when the window opens: some processes open it later than others.
#[test]
fn fanout_times_every_delivery_of_its_window() {
    for (warmup, sent) in [("0s", 30), ("149900us", 45)] {
        let options = ["--clients", "59", "--rate", "100", "--processes", "3", "--warmup", warmup];
        let run = expect_pass("fanout", &options);
        let phase = &run.json["results"]["phases"][0];
        assert_eq!(run.json["results"]["accounting"]["verified"], sent * 60);
        assert_eq!(deliveries(&phase["latency"]), 30 * 60, "warm-up {warmup}");
        assert_eq!(phase["latency"]["count"], 30 * 60);
        assert_eq!((&phase["first"]["count"], &phase["last"]["count"]), (&30.into(), &30.into()));
        assert_eq!(phase["lateness"]["count"], 30);
        let figures = percentiles(&phase["latency"]);
        assert!(figures.is_sorted() && figures[0] > 0, "{figures:?}");
        let [first, last] = ["first", "last"].map(|name| percentiles(&phase[name]));
        assert!(first.iter().zip(&last).all(|(first, last)| first <= last), "{first:?} {last:?}");
        assert_eq!(last[4], figures[4], "the slowest delivery is the last one of its message");
    }
}

/// Throughput is measured between the ends of the window and equals the configured rate.
#[test]
fn fanout_keeps_its_rate() {
    at_some_scale(|scale| {
        let (pid, duration) = (own_pid(), format!("{scale}s"));
        let options = ["--clients", "5", "--rate", "200", "--warmup", "200ms", "--duration", &duration];
        let run = expect_pass("fanout", &[&options[..], &["--server-pid", &pid]].concat());
        // Independent of their latency.
        assert_eq!(run.figure("/results/accounting/verified"), f64::from(200 * scale + 40) * 6.0);
        keeps_its_rate(&run, f64::from(scale))
    });
}

/// Checks the figures of 200 messages per second to six clients over `seconds`.
fn keeps_its_rate(run: &Run, seconds: f64) -> Result<(), String> {
    assert!(run.figure("/results/phases/0/server/cpu_share") > 0.0);
    assert!(run.figure("/results/phases/0/server_rss_peak") > 1e6);
    assert!(run.figure("/results/timeline/0/connected") <= 6.0);
    for (path, wanted) in [("seconds", seconds), ("sent_per_second", 200.0), ("deliveries_per_second", 1200.0)] {
        let value = run.figure(&format!("/results/phases/0/{path}"));
        if (value / wanted - 1.0).abs() >= 0.25 {
            return Err(format!("{path} {value} is not {wanted}"));
        }
    }
    Ok(())
}

/// Some processes have no client.
#[test]
fn more_processes_than_clients_pass() {
    for scenario in ["fanout", "churn"] {
        let options = ["--clients", "2", "--rate", "50", "--processes", "5"];
        let churn = if scenario == "churn" { &["--churn-share", "0.5"][..] } else { &[] };
        expect_pass(scenario, &[&options[..], churn].concat());
    }
    expect_pass("saturate", &["--clients", "1", "--processes", "4"]);
}

#[test]
fn saturate_sends_at_least_its_window() {
    let options = ["--clients", "3", "--window", "8", "--processes", "2"];
    let run = expect_pass("saturate", &options);
    let sent = run.figure("/results/accounting/verified") / 4.0;
    assert!(sent >= 8.0 && sent.fract() == 0.0, "{sent}");
    assert!(run.json["results"]["phases"][0]["first"].is_null(), "a closed loop has no intended send time");
}

/// A server that delivers nothing receives exactly one window.
#[test]
fn saturate_never_has_more_than_its_window_in_flight() {
    let (sender, seen) = sync_channel(1024);
    let server = chat_server(move |number, _, client| {
        if client.number == 0 {
            sender.send(number).unwrap();
        }
    });
    let run = run("saturate", server, &[&["--clients", "3", "--window", "8"], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.verdict(), "FAIL: 32 lost, nothing was delivered", "{}", run.output());
    assert_eq!(seen.try_iter().count(), 8);
}

/// Each client publishes at the configured rate, evenly.
#[test]
fn chat_publishes_from_every_client() {
    let (sender, seen) = sync_channel(1 << 14);
    let server = chat_server(move |_, text, client| {
        if client.number == 0 {
            sender.send((text[4..8].to_owned(), intended_ns(text))).unwrap();
        }
        client.write(text);
    });
    let run = run("chat", server, &["--clients", "6", "--rate", "20", "--processes", "3", "--duration", "500ms"]);
    assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 360.0);
    let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    seen.try_iter().for_each(|(publisher, time)| times.entry(publisher).or_default().push(time));
    assert_eq!(times.len(), 6);
    for (publisher, times) in times {
        assert_eq!(times.len(), 10, "{publisher}");
        // Rounded to a nanosecond.
        let is_even = times.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(50_000_000) <= 1);
        assert!(is_even, "{publisher}: {times:?}");
    }
}

/// All messages of a burst are due at the same time, and the run waits for those of the last burst after the window.
#[test]
fn every_message_of_every_burst_is_delivered() {
    let (sender, seen) = sync_channel(1024);
    let server = chat_server(move |_, text, client| {
        if client.number == 0 {
            sender.send(intended_ns(text)).unwrap();
        }
        client.write(text);
    });
    let options = ["--clients", "3", "--burst", "7", "--every", "100ms", "--duration", "201ms"];
    let run = run("burst", server, &options);
    assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 84.0);
    let times: Vec<_> = seen.try_iter().collect();
    let due = |n: usize| times[0] + (n as u64 / 7) * 100_000_000;
    assert_eq!(times, (0..21).map(due).collect::<Vec<_>>());
    let phase = &run.json["results"]["phases"][0];
    assert_eq!((&phase["first"]["count"], &phase["last"]["count"]), (&21.into(), &21.into()));
    assert_eq!(deliveries(&phase["latency"]), 84);
}

/// A server may close a receiver that stops reading: that is a result, not a fault.
#[test]
fn slow_reports_closed_stalled_receivers_separately() {
    // 30 messages in the calm phase; the last receiver stalls after them.
    let server = chat_server(|number, text, client| match (client.number, number) {
        (3, 40) => client.close(3008, "slow"),
        (3, 41..) => {}
        _ => client.write(text),
    });
    let run = run("slow", server, &["--clients", "3", "--rate", "100", "--size", "64", "--slow-share", "0.34"]);
    run.expect_pass();
    assert_eq!(run.json["results"]["phases"][1]["name"], "stalled");
    assert_eq!(run.figure("/results/slow/stalled"), 1.0);
    assert_eq!(run.figure("/results/slow/closes/0/code"), 3008.0);
    assert!(run.figure("/results/slow/p99_ratio") > 0.0);
    // Three clients read in both phases; the stalled one counts in the latency of neither.
    assert_eq!(deliveries(&run.json["results"]["phases"][0]["latency"]), 90);
    assert_eq!(deliveries(&run.json["results"]["phases"][1]["latency"]), 90);
    assert_eq!(run.json["results"]["closes"], Value::Array(Vec::new()));
    assert!(
        run.stdout.contains("closed by the server") && run.stdout.contains("  0 of the 3 that read\n"),
        "{}",
        run.output()
    );
}

/// A server that accepts a number of handshakes, then refuses a number of them with 503, then accepts all.
struct RefusingServer {
    accepted: usize,
    refused: usize,
}

impl Service for RefusingServer {
    fn accepts(&mut self, number: usize) -> bool {
        !(self.accepted..self.accepted + self.refused).contains(&number)
    }

    fn on_message(&mut self, clients: &mut [Client], _: usize, text: &str) {
        clients.iter().for_each(|client| client.write(text));
    }
}

fn storm(server: SocketAddr, options: &[&str]) -> Run {
    let storm = ["--warmup", "200ms", "--rate", "100", "--duration", "60s", "--jitter", "2s", "--processes", "2"];
    run("storm", server, &[&storm[..], options].concat())
}

/// The 16 connections are cut twice; refused clients are counted and try again.
#[test]
fn every_client_reconnects_after_a_storm() {
    for refused in [0, 5] {
        at_some_scale(|scale| {
            let server = start(RefusingServer { accepted: 16, refused });
            let run = storm(server, &["--clients", "15", "--jitter", &format!("{}s", 2 * scale)]);
            check_rounds(&run, refused)
        });
    }
}

/// Checks that all 16 came back twice, at once and spread over seconds.
fn check_rounds(run: &Run, refused: usize) -> Result<(), String> {
    run.expect_pass();
    let rounds = run.json["results"]["storm"]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        assert_eq!((&round["back"], &round["clients"]), (&16.into(), &16.into()));
        let [most, all] = ["back_99_s", "back_100_s"].map(|name| round[name].as_f64().unwrap());
        assert!(0.0 < most && most <= all, "{round}");
        assert_eq!(deliveries(&round["returns"]), 16);
    }
    assert_eq!(rounds[0]["attempts"], 16 + refused);
    assert_eq!(rounds[1]["attempts"], 16);
    let refusals = run.json["results"]["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), usize::from(refused > 0), "{refusals:?}");
    if let Some(refusal) = refusals.first() {
        assert!(refusal["why"].as_str().unwrap().contains("503"), "{refusal}");
        assert_eq!(refusal["count"], refused);
    }
    // The loads after both rounds reach all 16.
    assert_eq!(run.figure("/results/accounting/verified"), 2.0 * 20.0 * 16.0);
    let [at_once, spread] = [0, 1].map(|index| rounds[index]["back_100_s"].as_f64().unwrap());
    // The last of 16 evenly spread clients reconnects near the end of the time.
    assert!(spread > 0.5, "{spread}");
    let is_spread = refused > 0 || spread > at_once;
    if is_spread { Ok(()) } else { Err(format!("at once {at_once} s, spread {spread} s")) }
}

/// Being refused for good is the only fault.
#[test]
fn clients_that_never_reconnect_fail_a_storm() {
    let server = start(RefusingServer { accepted: 4, refused: usize::MAX - 4 });
    let run = storm(server, &["--clients", "3", "--duration", "500ms"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: 4 of 4 never came back", Some(1)), "{}", run.output());
}

/// Resets of several connections are one reason: the number of the connection is not part of it.
#[test]
fn storm_counts_refusals_by_reason() {
    let inner = start(RefusingServer { accepted: usize::MAX, refused: 0 });
    let server = raw_server(move |number, mut client| {
        if (6..12).contains(&number) {
            // If the request were still in flight, the client could see the end of the stream instead of the reset.
            read_request(&mut client);
            drop(socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)));
        } else {
            relay(&client, inner);
        }
        true
    });
    let run = storm(server, &["--clients", "5"]);
    run.expect_pass();
    assert_eq!(run.figure("/results/refusals/0/count"), 6.0, "{}", run.output());
    assert_eq!(run.json["results"]["refusals"].as_array().unwrap().len(), 1, "{}", run.output());
}

#[test]
fn churn_keeps_its_rate_and_loses_no_message() {
    at_some_scale(|scale| {
        let (rate, duration) = ((40.0 / f64::from(scale)).to_string(), format!("{scale}s"));
        let churn = ["--churn-rate", &rate, "--churn-share", "0.5", "--rate", "100", "--processes", "3"];
        let time = ["--duration", &duration, "--warmup", "500ms"];
        let run = expect_pass("churn", &[&["--clients", "8"], &churn[..], &time].concat());
        assert_eq!(run.figure("/results/churn/stayed"), 5.0);
        let (arrivals, seconds) = (run.figure("/results/churn/arrivals"), run.figure("/results/phases/1/seconds"));
        // The warm-up belongs to the calm phase.
        let per_second = run.figure("/results/churn/arrivals_per_second");
        assert!((per_second * seconds / arrivals - 1.0).abs() < 0.01, "{per_second} of {arrivals} in {seconds} s");
        let names: Vec<_> = [0, 1].map(|index| run.json["results"]["phases"][index]["name"].clone()).to_vec();
        assert_eq!(names, ["calm", "churn"]);
        let stayed = deliveries(&run.json["results"]["phases"][1]["latency"]);
        assert_eq!(stayed, 100 * u64::from(scale) * 5, "of the clients that stay");
        let handshakes = deliveries(&run.json["results"]["churn"]["handshake"]);
        if handshakes < 20 {
            return Err(format!("{handshakes} handshakes"));
        }
        check_reconnects(&run, 25.0..=40.0)
    });
}

/// Checks the number of reconnects: a client that is still in its handshake when its turn comes skips it.
fn check_reconnects(run: &Run, expected: std::ops::RangeInclusive<f64>) -> Result<(), String> {
    let arrivals = run.figure("/results/churn/arrivals");
    assert!(arrivals <= *expected.end(), "{arrivals}");
    if expected.contains(&arrivals) { Ok(()) } else { Err(format!("{arrivals} arrivals")) }
}

/// One client makes all reconnects, whichever process it is in.
#[test]
fn churn_of_one_client_keeps_its_rate() {
    at_some_scale(|scale| {
        let (rate, duration) = ((20.0 / f64::from(scale)).to_string(), format!("{scale}s"));
        let options = ["--clients", "4", "--churn-rate", &rate, "--churn-share", "0.25", "--processes", "3"];
        let run = expect_pass("churn", &[&options[..], &["--duration", &duration]].concat());
        check_reconnects(&run, 12.0..=20.0)
    });
}

/// Refused clients are counted and try again.
#[test]
fn churn_counts_refused_reconnects() {
    let server = start(RefusingServer { accepted: 6, refused: 3 });
    // Long enough for three refused attempts and an accepted one.
    let options = ["--clients", "5", "--rate", "100", "--churn-rate", "20", "--churn-share", "0.4"];
    let run = run("churn", server, &[&options[..], &["--duration", "4s"]].concat());
    assert_eq!(run.expect_pass().figure("/results/refusals/0/count"), 3.0, "{}", run.output());
    assert!(run.figure("/results/churn/arrivals") > 3.0);
}

/// A message that a reconnected client misses after its first one is lost.
#[test]
fn loss_after_a_reconnect_is_found() {
    struct LosingServer(BTreeMap<usize, usize>);
    impl Service for LosingServer {
        fn on_connect(&mut self, client: &mut Client) {
            *self.0.entry(client.number).or_default() += 1;
            // The first entry is the number of this connection of the client, the others count its messages.
            client.channels = vec![self.0[&client.number].to_string()];
        }

        fn on_message(&mut self, clients: &mut [Client], _: usize, text: &str) {
            for client in clients {
                // The second connection of the last client misses its third message.
                client.channels.push(String::new());
                if (client.number, client.channels[0].as_str(), client.channels.len()) != (4, "2", 4) {
                    client.write(text);
                }
            }
        }
    }
    // The second connection lasts two seconds, less its handshake.
    let options = ["--clients", "4", "--rate", "100", "--churn-rate", "0.5", "--churn-share", "0.25"];
    let run = run("churn", start(LosingServer(BTreeMap::new())), &[&options[..], &["--duration", "2500ms"]].concat());
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.output());
}

#[test]
fn ramp_finds_the_knee_and_ends_there() {
    let server = chat_server(|_, text, client| {
        // The clients added by the fourth step get nothing.
        if client.number < 7 {
            client.write(text);
        }
    });
    let ramp = ["--from", "2", "--step", "2", "--steps", "9", "--rate", "50", "--processes", "2"];
    let run = run("ramp", server, &[&ramp[..], &["--p99-max", "60s"], &SHORT_DRAIN].concat());
    assert_eq!((run.verdict(), run.code), ("FAIL: 30 lost", Some(1)), "{}", run.output());
    let ramp = &run.json["results"]["ramp"];
    let steps = ramp["steps"].as_array().unwrap();
    let clients: Vec<_> = steps.iter().map(|step| step["clients"].as_u64().unwrap()).collect();
    assert_eq!((clients, &ramp["knee"]), (vec![2, 4, 6, 8], &2.into()));
    assert!(run.stdout.contains("note: the knee is at 6 clients: 30 messages were lost"), "{}", run.output());
    assert!(run.stdout.contains("clients at the knee") && !run.stdout.contains("clients held"), "{}", run.output());
    assert_eq!(ramp["end"], "30 messages were lost");
    assert!(steps.iter().map(|step| &step["is_within"]).eq([true, true, true, false].iter()));
}

#[test]
fn ramp_by_rate_raises_the_rate_only() {
    let options = ["--by", "rate", "--from", "50", "--step", "50", "--steps", "3", "--clients", "3"];
    let run = expect_pass(
        "ramp",
        &[&options[..], &["--duration", "400ms", "--warmup", "100ms", "--p99-max", "60s"]].concat(),
    );
    let steps = run.json["results"]["ramp"]["steps"].as_array().unwrap();
    let axes: Vec<_> = steps.iter().map(|step| (step["clients"].as_u64(), step["rate"].as_f64())).collect();
    assert_eq!(axes, [50.0, 100.0, 150.0].map(|rate| (Some(3), Some(rate))));
    assert!(steps.iter().all(|step| step["deliveries_per_second"].as_f64() > Some(0.0)), "{steps:?}");
    // All steps held, so where the knee is remains unknown.
    assert_eq!((&run.json["results"]["ramp"]["knee"], run.figure("/results/ramp/held")), (&Value::Null, 2.0));
    assert!(
        run.stdout.contains("note: no knee up to 150 messages/s: all 3 steps held: raise --steps"),
        "{}",
        run.output()
    );
    assert!(!run.stdout.contains("at the knee") && run.stdout.contains("messages/s held"), "{}", run.output());
    assert_eq!(run.json["results"]["ramp"]["end"], "all 3 steps held: raise --steps");
    // 25, 50 and 75 messages to four.
    assert_eq!(run.figure("/results/accounting/verified"), 600.0);
}

#[test]
fn ramp_ends_at_its_latency_limit() {
    let run = run("ramp", correct_server(), &["--from", "2", "--step", "1", "--rate", "50", "--p99-max", "1us"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: the first step did not hold", Some(1)), "{}", run.output());
    assert!(run.json["results"]["ramp"]["end"].as_str().unwrap().contains("is above 1 µs"), "{}", run.json);
}

const CHANNELS: [&str; 8] = ["--clients", "30", "--channels", "6", "--rate", "100", "--processes", "3"];

/// The URL names the channel of each connection, and popular channels have more clients.
#[test]
fn clients_receive_messages_of_their_channel_only() {
    let (sender, seen): (SyncSender<(String, String)>, _) = sync_channel(1 << 14);
    let server = chat_server(move |_, text, client| {
        sender.send((client.query.clone(), text[4..8].to_owned())).unwrap();
        client.write(text);
    });
    let url = format!("ws://{server}/ws?channel={{channel}}");
    let run = run("channels", server, &[&CHANNELS[..], &["--url", &url, "--channel", "room", "--seed", "7"]].concat());
    run.expect_pass();
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(run.figure("/results/accounting/verified"), seen.len() as f64);
    for (query, publisher) in &seen {
        let channel = u16::from_str_radix(publisher, 16).unwrap();
        assert_eq!(*query, format!("channel=room-{channel}"), "the publisher's number is its channel's");
    }
    let figure = |name: &str| run.figure(&format!("/results/channels/{name}"));
    assert_eq!((figure("channels"), figure("subscriptions")), (6.0, 30.0));
    assert!(figure("occupied") <= 6.0 && figure("largest") >= 2.0 * figure("median"), "Zipf");
}

#[test]
fn message_of_another_channel_is_found() {
    let server = start(RefusingServer { accepted: usize::MAX, refused: 0 });
    let url = format!("ws://{server}/ws?channel={{channel}}");
    let run = run("channels", server, &[&CHANNELS[..], &["--url", &url]].concat());
    assert_eq!(run.code, Some(1), "{}", run.output());
    assert!(run.verdict().ends_with(" corrupt"), "{}", run.output());
}

/// A slope needs two samples, a second apart.
#[test]
fn soak_reports_slopes() {
    at_some_scale(|scale| {
        let (pid, duration) = (own_pid(), format!("{}ms", 3200 * scale));
        let options = ["--clients", "3", "--rate", "50", "--duration", &duration, "--server-pid", &pid];
        check_slopes(&expect_pass("soak", &options))
    });
}

/// Checks the slopes, if the coordinator ran often enough for two samples.
fn check_slopes(run: &Run) -> Result<(), String> {
    let timeline = run.json["results"]["timeline"].as_array().unwrap();
    let soaking = timeline.iter().filter(|sample| sample["stage"] == "soak").count();
    if soaking < 2 {
        return Err(format!("{timeline:?}"));
    }
    for slope in ["rss_bytes_per_hour", "descriptors_per_hour", "kernel_tcp_bytes_per_hour", "p99_us_per_hour"] {
        assert!(run.figure(&format!("/results/soak/{slope}")).is_finite());
    }
    assert!(timeline.iter().any(|sample| sample["server_descriptors"].as_u64() > Some(8)));
    Ok(())
}
