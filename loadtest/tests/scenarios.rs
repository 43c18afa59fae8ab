//! Does every scenario do what its question needs, and tell what it promises? Each runs against a chat server as it
//! should be, for a second or so; what is wrong with other servers is the fault tests' business.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};

use serde_json::Value;
use support::server::{Member, Service, faithful, serve, start};
use support::{Run, SHORT_DRAIN, at_some_scale, raw, read_request, run};

/// This process, which is the server's.
fn own_pid() -> String {
    std::process::id().to_string()
}

fn expect_pass(scenario: &str, options: &[&str]) -> Run {
    let run = run(scenario, faithful(), options);
    run.expect_pass();
    run
}

/// The percentiles of a summary, ascending.
fn percentiles(summary: &Value) -> Vec<u64> {
    ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|name| summary[name].as_u64().unwrap()).to_vec()
}

fn deliveries(summary: &Value) -> u64 {
    summary["buckets"].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum()
}

/// When the schedule wanted a message sent.
fn intended_ns(text: &str) -> u64 {
    u64::from_str_radix(&text[16..32], 16).unwrap()
}

#[test]
fn idle_tells_what_a_connection_costs() {
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
    assert!(run.stdout.contains("server RSS/connection"), "{}", run.words());
}

/// Every delivery of the window's 30 messages is in a bucket of one of three processes, also of the first one, which is
/// due as soon as the window opens: some processes get to that later than others.
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
        assert_eq!(last[4], figures[4], "the slowest delivery is somebody's last");
    }
}

/// Throughput is that between the window's ends, at the rate that was asked for.
#[test]
fn fanout_keeps_its_rate() {
    at_some_scale(|scale| {
        let (pid, duration) = (own_pid(), format!("{scale}s"));
        let options = ["--clients", "5", "--rate", "200", "--warmup", "200ms", "--duration", &duration];
        let run = expect_pass("fanout", &[&options[..], &["--server-pid", &pid]].concat());
        // However late some were.
        assert_eq!(run.figure("/results/accounting/verified"), f64::from(200 * scale + 40) * 6.0);
        keeps_its_rate(&run, f64::from(scale))
    });
}

/// Checks the figures of 200 messages a second to six clients, for so many seconds.
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

/// A process may have no client at all.
#[test]
fn more_processes_than_clients_do_no_harm() {
    for scenario in ["fanout", "churn"] {
        let options = ["--clients", "2", "--rate", "50", "--processes", "5"];
        let churn = if scenario == "churn" { &["--churn-share", "0.5"][..] } else { &[] };
        expect_pass(scenario, &[&options[..], churn].concat());
    }
    expect_pass("saturate", &["--clients", "1", "--processes", "4"]);
}

#[test]
fn saturate_keeps_its_window_under_way() {
    let options = ["--clients", "3", "--window", "8", "--processes", "2"];
    let run = expect_pass("saturate", &options);
    let sent = run.figure("/results/accounting/verified") / 4.0;
    assert!(sent >= 8.0 && sent.fract() == 0.0, "{sent}");
    assert!(run.json["results"]["phases"][0]["first"].is_null(), "a closed loop has no intended time to count from");
}

/// A server that never has the publisher's copies ready holds exactly a window.
#[test]
fn saturate_never_has_more_under_way() {
    let (sender, seen) = sync_channel(1024);
    let server = serve(move |number, _, member| {
        if member.number == 0 {
            sender.send(number).unwrap();
        }
    });
    let run = run("saturate", server, &[&["--clients", "3", "--window", "8"], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.verdict(), "FAIL: 32 lost, nothing was delivered", "{}", run.words());
    assert_eq!(seen.try_iter().count(), 8);
}

/// Everybody publishes, evenly, each as often as asked.
#[test]
fn chat_lets_everybody_talk() {
    let (sender, seen) = sync_channel(1 << 14);
    let server = serve(move |_, text, member| {
        if member.number == 0 {
            sender.send((text[4..8].to_owned(), intended_ns(text))).unwrap();
        }
        member.write(text);
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

/// All messages of a burst are due at once, and those of the last one are waited for although the window is over.
#[test]
fn burst_delivers_all_of_every_burst() {
    let (sender, seen) = sync_channel(1024);
    let server = serve(move |_, text, member| {
        if member.number == 0 {
            sender.send(intended_ns(text)).unwrap();
        }
        member.write(text);
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

/// A receiver that stops reading may be closed for it: that is a finding, not a fault.
#[test]
fn slow_tells_the_end_of_a_stalled_receiver_apart() {
    // 30 messages in the calm phase; the last receiver stalls after them.
    let server = serve(|number, text, member| match (member.number, number) {
        (3, 40) => member.close(3008, "slow"),
        (3, 41..) => {}
        _ => member.write(text),
    });
    let run = run("slow", server, &["--clients", "3", "--rate", "100", "--size", "64", "--slow-share", "0.34"]);
    run.expect_pass();
    assert_eq!(run.json["results"]["phases"][1]["name"], "stalled");
    assert_eq!(run.figure("/results/slow/stalled"), 1.0);
    assert_eq!(run.figure("/results/slow/closes/0/code"), 3008.0);
    assert!(run.figure("/results/slow/p99_ratio") > 0.0);
    // Three clients that read, in both phases; the stalled one is in neither's latency.
    assert_eq!(deliveries(&run.json["results"]["phases"][0]["latency"]), 90);
    assert_eq!(deliveries(&run.json["results"]["phases"][1]["latency"]), 90);
    assert_eq!(run.json["results"]["closes"], Value::Array(Vec::new()));
}

/// A server that turns some of those away who come back.
struct Door {
    /// Handshakes that are accepted, then such that are not.
    open: usize,
    shut: usize,
}

impl Service for Door {
    fn admit(&mut self, number: usize) -> bool {
        !(self.open..self.open + self.shut).contains(&number)
    }

    fn hear(&mut self, members: &mut [Member], _: usize, text: &str) {
        members.iter().for_each(|member| member.write(text));
    }
}

fn storm(server: SocketAddr, options: &[&str]) -> Run {
    let storm = ["--warmup", "200ms", "--rate", "100", "--duration", "60s", "--jitter", "2s", "--processes", "2"];
    run("storm", server, &[&storm[..], options].concat())
}

/// The 16 connections are cut twice; who is turned away is counted and comes back all the same.
#[test]
fn storm_brings_everybody_back() {
    for refused in [0, 5] {
        let run = storm(start(Door { open: 16, shut: refused }), &["--clients", "15"]);
        run.expect_pass();
        let rounds = run.json["results"]["storm"]["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2);
        for round in rounds {
            assert_eq!((&round["back"], &round["clients"]), (&16.into(), &16.into()));
            let [most, all] = ["back_99_s", "back_100_s"].map(|name| round[name].as_f64().unwrap());
            assert!(0.0 < most && most <= all, "{round}");
            assert_eq!(deliveries(&round["returns"]), 16);
        }
        let [at_once, spread] = [0, 1].map(|index| rounds[index]["back_100_s"].as_f64().unwrap());
        // The last one of 16 comes late in the two seconds, on any machine.
        assert!(spread > 0.5 && (refused > 0 || spread > at_once), "at once {at_once} s, spread {spread} s");
        assert_eq!(rounds[0]["attempts"], 16 + refused);
        assert_eq!(rounds[1]["attempts"], 16);
        let refusals = run.json["results"]["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), usize::from(refused > 0), "{refusals:?}");
        if let Some(refusal) = refusals.first() {
            assert!(refusal["why"].as_str().unwrap().contains("503"), "{refusal}");
            assert_eq!(refusal["count"], refused);
        }
        // Both loads behind the rounds reach all 16.
        assert_eq!(run.figure("/results/accounting/verified"), 2.0 * 20.0 * 16.0);
    }
}

/// The one that is never let in is the only fault.
#[test]
fn storm_tells_who_never_came_back() {
    let server = start(Door { open: 4, shut: usize::MAX - 4 });
    let run = storm(server, &["--clients", "3", "--duration", "500ms"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: 4 of 4 never came back", Some(1)), "{}", run.words());
}

/// Resets differ only by the number of the connection, which is no reason.
#[test]
fn storm_counts_refusals_by_their_reason() {
    let inner = start(Door { open: usize::MAX, shut: 0 });
    let server = raw(move |number, mut client| {
        if (6..12).contains(&number) {
            // A client whose request is on its way still could find the end of the stream in place of the reset.
            read_request(&mut client);
            drop(socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)));
        } else {
            relay(&client, inner);
        }
        true
    });
    let run = storm(server, &["--clients", "5"]);
    run.expect_pass();
    assert_eq!(run.figure("/results/refusals/0/count"), 6.0, "{}", run.words());
    assert_eq!(run.json["results"]["refusals"].as_array().unwrap().len(), 1, "{}", run.words());
}

/// Copies bytes both ways until either side has had enough.
fn relay(client: &std::net::TcpStream, inner: SocketAddr) {
    let server = std::net::TcpStream::connect(inner).unwrap();
    for (mut from, mut to) in
        [(client, &server), (&server, client)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
    {
        std::thread::spawn(move || {
            drop(std::io::copy(&mut from, &mut to));
            drop(to.shutdown(std::net::Shutdown::Both));
        });
    }
}

#[test]
fn churn_loses_nobody() {
    at_some_scale(|scale| {
        let (rate, duration) = ((40.0 / f64::from(scale)).to_string(), format!("{scale}s"));
        let churn = ["--churn-rate", &rate, "--churn-share", "0.5", "--rate", "100", "--processes", "3"];
        let time = ["--duration", &duration, "--warmup", "500ms"];
        let run = expect_pass("churn", &[&["--clients", "8"], &churn[..], &time].concat());
        assert_eq!(run.figure("/results/churn/stayed"), 5.0);
        let (arrivals, seconds) = (run.figure("/results/churn/arrivals"), run.figure("/results/phases/1/seconds"));
        // The warm-up is the calm phase's.
        let per_second = run.figure("/results/churn/arrivals_per_second");
        assert!((per_second * seconds / arrivals - 1.0).abs() < 0.01, "{per_second} of {arrivals} in {seconds} s");
        let names: Vec<_> = [0, 1].map(|index| run.json["results"]["phases"][index]["name"].clone()).to_vec();
        assert_eq!(names, ["calm", "churn"]);
        let stayed = deliveries(&run.json["results"]["phases"][1]["latency"]);
        assert_eq!(stayed, 100 * u64::from(scale) * 5, "of those who stay");
        let handshakes = deliveries(&run.json["results"]["churn"]["handshake"]);
        if handshakes < 20 {
            return Err(format!("{handshakes} handshakes"));
        }
        turns_taken(&run, 25.0..=40.0)
    });
}

/// Checks how many turns were taken: a client that is still in its handshake when its turn comes takes none.
fn turns_taken(run: &Run, expected: std::ops::RangeInclusive<f64>) -> Result<(), String> {
    let arrivals = run.figure("/results/churn/arrivals");
    assert!(arrivals <= *expected.end(), "{arrivals}");
    if expected.contains(&arrivals) { Ok(()) } else { Err(format!("{arrivals} arrivals")) }
}

/// One client takes all turns, whichever process it is in.
#[test]
fn churn_of_one_client_keeps_its_rate() {
    at_some_scale(|scale| {
        let (rate, duration) = ((20.0 / f64::from(scale)).to_string(), format!("{scale}s"));
        let options = ["--clients", "4", "--churn-rate", &rate, "--churn-share", "0.25", "--processes", "3"];
        let run = expect_pass("churn", &[&options[..], &["--duration", &duration]].concat());
        turns_taken(&run, 12.0..=20.0)
    });
}

/// Newcomers who are turned away come back, like anybody does, and are counted.
#[test]
fn churn_counts_newcomers_who_are_turned_away() {
    let server = start(Door { open: 6, shut: 3 });
    // Long enough for three attempts and what follows them.
    let options = ["--clients", "5", "--rate", "100", "--churn-rate", "20", "--churn-share", "0.4"];
    let run = run("churn", server, &[&options[..], &["--duration", "4s"]].concat());
    assert_eq!(run.expect_pass().figure("/results/refusals/0/count"), 3.0, "{}", run.words());
    assert!(run.figure("/results/churn/arrivals") > 3.0);
}

/// What a newcomer misses after its first message is lost.
#[test]
fn loss_of_a_newcomer_is_found() {
    struct Forgetful(BTreeMap<usize, usize>);
    impl Service for Forgetful {
        fn join(&mut self, member: &mut Member) {
            *self.0.entry(member.number).or_default() += 1;
            // A visit is told from another by what it is called.
            member.channels = vec![self.0[&member.number].to_string()];
        }

        fn hear(&mut self, members: &mut [Member], _: usize, text: &str) {
            for member in members {
                // The second visit of the last client misses its third message.
                member.channels.push(String::new());
                if (member.number, member.channels[0].as_str(), member.channels.len()) != (4, "2", 4) {
                    member.write(text);
                }
            }
        }
    }
    // The second visit lasts two seconds, less its handshake.
    let options = ["--clients", "4", "--rate", "100", "--churn-rate", "0.5", "--churn-share", "0.25"];
    let run = run("churn", start(Forgetful(BTreeMap::new())), &[&options[..], &["--duration", "2500ms"]].concat());
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.words());
}

#[test]
fn ramp_finds_the_knee_and_ends_there() {
    let server = serve(|_, text, member| {
        // The newcomers of the fourth step get nothing.
        if member.number < 7 {
            member.write(text);
        }
    });
    let ramp = ["--from", "2", "--step", "2", "--steps", "9", "--rate", "50", "--processes", "2"];
    let run = run("ramp", server, &[&ramp[..], &["--p99-max", "60s"], &SHORT_DRAIN].concat());
    assert_eq!((run.verdict(), run.code), ("FAIL: 30 lost", Some(1)), "{}", run.words());
    let ramp = &run.json["results"]["ramp"];
    let steps = ramp["steps"].as_array().unwrap();
    let clients: Vec<_> = steps.iter().map(|step| step["clients"].as_u64().unwrap()).collect();
    assert_eq!((clients, &ramp["knee"]), (vec![2, 4, 6, 8], &2.into()));
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
    assert_eq!(run.figure("/results/ramp/knee"), 2.0);
    assert_eq!(run.json["results"]["ramp"]["end"], "all 3 steps held: raise --steps");
    // 25, 50 and 75 messages to four.
    assert_eq!(run.figure("/results/accounting/verified"), 600.0);
}

#[test]
fn ramp_ends_at_its_latency_limit() {
    let run = run("ramp", faithful(), &["--from", "2", "--step", "1", "--rate", "50", "--p99-max", "1us"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: the first step did not hold", Some(1)), "{}", run.words());
    assert!(run.json["results"]["ramp"]["end"].as_str().unwrap().contains("is above 1 µs"), "{}", run.json);
}

const CHANNELS: [&str; 8] = ["--clients", "30", "--channels", "6", "--rate", "100", "--processes", "3"];

/// The address names the channel of each connection, and more people stand in the first than in the last.
#[test]
fn channels_hear_their_own_only() {
    let (sender, seen): (SyncSender<(String, String)>, _) = sync_channel(1 << 14);
    let server = serve(move |_, text, member| {
        sender.send((member.query.clone(), text[4..8].to_owned())).unwrap();
        member.write(text);
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
fn message_in_a_foreign_channel_is_found() {
    let server = start(Door { open: usize::MAX, shut: 0 });
    let url = format!("ws://{server}/ws?channel={{channel}}");
    let run = run("channels", server, &[&CHANNELS[..], &["--url", &url]].concat());
    assert_eq!(run.code, Some(1), "{}", run.words());
    assert!(run.verdict().ends_with(" corrupt"), "{}", run.words());
}

/// Lines need two samples, a second apart.
#[test]
fn soak_draws_its_lines() {
    at_some_scale(|scale| {
        let (pid, duration) = (own_pid(), format!("{}ms", 3200 * scale));
        let options = ["--clients", "3", "--rate", "50", "--duration", &duration, "--server-pid", &pid];
        lines_of(&expect_pass("soak", &options))
    });
}

/// Checks the lines, if the coordinator ran often enough to draw some.
fn lines_of(run: &Run) -> Result<(), String> {
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
