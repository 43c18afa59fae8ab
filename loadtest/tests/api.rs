//! Publishing through the server's HTTP API: every delivery is verified as with a publisher's own connection, and what
//! the API refuses is counted, sent again or ends the run.

mod support;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use support::server::{KEY, Post, accepted, api_server, response};
use support::{Run, SHORT_DRAIN, at_some_scale, raw_server, run};

/// A correct server with an API.
fn correct() -> SocketAddr {
    api_server(|_, _| None)
}

/// Runs a scenario that publishes through the API of `server`.
fn publish(scenario: &str, server: SocketAddr, options: &[&str]) -> Run {
    let url = format!("ws://{server}/ws?channel={{channel}}");
    let api = ["--url", &url, "--publish", "api", "--api-key", KEY];
    run(scenario, server, &[&api[..], options].concat())
}

/// A server that passes on what it is asked, and the number of publications and the path of each request.
fn recording() -> (SocketAddr, Receiver<(String, usize)>) {
    let (sender, seen) = sync_channel(1 << 14);
    let server = api_server(move |_, request| {
        sender.send((request.path.clone(), request.publications().len())).expect("the test reads it");
        None
    });
    (server, seen)
}

/// Latency counts from the intended send time to each receiver, the first and the last of each message included.
#[test]
fn fanout_times_every_delivery_of_what_a_backend_publishes() {
    for connections in ["1", "3"] {
        let options = ["--clients", "9", "--rate", "100", "--processes", "2", "--api-connections", connections];
        let run = publish("fanout", correct(), &options);
        // There is no publisher's connection next to the receivers.
        assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 30.0 * 9.0);
        let phase = &run.json["results"]["phases"][0];
        assert_eq!(phase["latency"]["count"], 30 * 9);
        assert_eq!((&phase["first"]["count"], &phase["last"]["count"]), (&30.into(), &30.into()));
        assert_eq!(phase["lateness"]["count"], 30);
        assert_eq!(
            phase["last"]["max_us"], phase["latency"]["max_us"],
            "the slowest delivery is the last of its message"
        );
        assert!(run.stdout.contains("API publications/s"), "{}", run.output());
        assert!(!run.json.to_string().contains(KEY), "the key is in no report");
    }
}

#[test]
fn each_scenario_with_a_publisher_can_use_the_api() {
    let channels = ["--clients", "20", "--channels", "5", "--rate", "100", "--processes", "2"];
    let storm = ["--clients", "5", "--rate", "100", "--warmup", "200ms", "--duration", "60s", "--jitter", "100ms"];
    let few = ["--clients", "4"];
    for (scenario, options) in [
        ("saturate", &["--clients", "4", "--window", "8", "--api-connections", "2"][..]),
        ("burst", &["--clients", "4", "--burst", "7", "--every", "100ms", "--api-batch", "3"]),
        ("channels", &channels),
        ("slow", &["--clients", "4", "--rate", "100", "--size", "64", "--slow-share", "0.3"]),
        ("churn", &["--clients", "4", "--rate", "100", "--churn-rate", "10"]),
        ("storm", &storm),
        ("soak", &few),
        ("ramp", &["--from", "2", "--step", "2", "--steps", "2", "--rate", "50", "--p99-max", "60s"]),
    ] {
        publish(scenario, correct(), options).expect_pass();
    }
}

/// What is due when a connection is free leaves in one request, and each publication has its own answer.
#[test]
fn batches_hold_what_is_due_and_no_more_than_they_may() {
    let (server, seen) = recording();
    let options = ["--clients", "2", "--burst", "10", "--every", "1s", "--api-batch", "4"];
    assert_eq!(publish("burst", server, &options).expect_pass().figure("/results/accounting/verified"), 20.0);
    let batch = |len| ("/api/batch".to_owned(), len);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [batch(4), batch(4), batch(2)]);
    let (server, seen) = recording();
    publish("burst", server, &["--clients", "2", "--burst", "2", "--every", "1s"]).expect_pass();
    let one = ("/api/publish".to_owned(), 1);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [one.clone(), one]);
}

/// A closed loop keeps its window over all connections.
#[test]
fn saturate_counts_what_is_in_flight_over_all_connections() {
    let (sender, seen) = sync_channel(1 << 14);
    // It accepts everything and delivers nothing.
    let server = api_server(move |_, request| {
        sender.send(request.publications().len()).expect("the test reads it");
        Some(Some(accepted(true, request.publications().len())))
    });
    let options = ["--clients", "2", "--window", "8", "--api-connections", "3", "--api-batch", "2"];
    let run = publish("saturate", server, &[&options[..], &SHORT_DRAIN].concat());
    assert_eq!(run.verdict(), "FAIL: 16 lost, nothing was delivered", "{}", run.output());
    assert_eq!(seen.try_iter().sum::<usize>(), 8);
}

/// Publishes 30 messages to four clients; the API server passes on what `tamper` makes of the text of each request.
fn tampered(tamper: impl Fn(usize, &str) -> Vec<String> + Send + 'static, options: &[&str]) -> Run {
    let mut number = 0;
    let server = support::server::publishing_server(move |text| {
        number += 1;
        tamper(number - 1, text)
    });
    publish("fanout", server, &[&["--clients", "4", "--rate", "100"], options].concat())
}

#[test]
fn faults_of_what_the_api_took_are_found() {
    for processes in ["1", "2"] {
        let options = ["--processes", processes];
        let lost = tampered(|number, text| if number == 5 { vec![] } else { vec![text.to_owned()] }, &options);
        assert_eq!((lost.verdict(), lost.code), ("FAIL: 4 lost", Some(1)), "{}", lost.output());
        let doubled = tampered(|number, text| vec![text.to_owned(); if number == 5 { 2 } else { 1 }], &options);
        assert_eq!((doubled.verdict(), doubled.code), ("FAIL: 4 duplicated", Some(1)), "{}", doubled.output());
        let held = std::sync::Mutex::new(None);
        let swapped = tampered(
            move |number, text| match number {
                5 => {
                    *held.lock().expect("no test panics with it") = Some(text.to_owned());
                    vec![]
                }
                6 => vec![text.to_owned(), held.lock().expect("no test panics with it").take().unwrap_or_default()],
                _ => vec![text.to_owned()],
            },
            &options,
        );
        assert_eq!((swapped.verdict(), swapped.code), ("FAIL: 4 reordered", Some(1)), "{}", swapped.output());
    }
}

/// Checks exit code and error, which must be one line with `words`.
fn expect_one_line(run: &Run, code: i32, words: &str) {
    assert_eq!(run.code, Some(code), "{}", run.output());
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

/// Before any client connects, so the report holds nothing else.
#[test]
fn wrong_key_is_a_refusal_in_one_line() {
    for processes in ["1", "2"] {
        let options = ["--clients", "3", "--processes", processes, "--api-key", "wrong", "--api-connections", "2"];
        let run = publish("fanout", correct(), &options);
        expect_one_line(&run, 5, "answered \"401 Unauthorized\" (a key is required)");
        assert_eq!(run.stdout, "");
    }
    let url = format!("ws://{}/ws?channel={{channel}}", correct());
    let run = run("fanout", correct(), &["--url", &url, "--publish", "api"]);
    expect_one_line(&run, 5, "give it a key with --api-key or LOADTEST_API_KEY");
}

#[test]
fn server_without_an_api_is_a_refusal() {
    let server = support::server::correct_server();
    expect_one_line(
        &publish("fanout", server, &[]),
        5,
        "answered \"404 Not Found\"; the API is elsewhere: see --api-url",
    );
    let mail = raw_server(|_, mut stream| {
        drop(std::io::Write::write_all(&mut stream, b"220 mail.example ESMTP\r\n"));
        true
    });
    expect_one_line(&publish("fanout", mail, &[]), 6, "speaks no HTTP/1.1");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("http://{}/api", closed.expect("a port is free"));
    expect_one_line(&publish("fanout", correct(), &["--api-url", &url]), 3, "is the API there? See --api-url");
}

/// An answer that a second attempt cannot change ends the run.
#[test]
fn refused_publication_ends_the_run_with_its_code() {
    let body = r#"{"error":{"code":102,"message":"unknown channel: the namespace is not defined"}}"#;
    let server = api_server(move |number, _| (number == 5).then(|| Some(response("200 OK", "", body))));
    let run = publish("fanout", server, &["--clients", "3", "--rate", "100"]);
    expect_one_line(&run, 5, "refused a publication with code 102 (unknown channel: the namespace is not defined)");
    assert!(run.verdict().starts_with("STOPPED: "), "{}", run.output());
    assert_eq!(run.figure("/results/accounting/lost"), 0.0);
}

/// A request that the server has no room for is sent again as it asks; nothing is lost or overtaken.
#[test]
fn pause_that_the_api_asks_for_is_kept_and_counted() {
    for (status, batch) in [("503 Service Unavailable", "1"), ("429 Too Many Requests", "5")] {
        at_some_scale(|_| {
            let (sender, seen) = sync_channel(1 << 14);
            let server = api_server(move |number, _| {
                sender.send(std::time::Instant::now()).expect("the test reads it");
                (number == 2).then(|| Some(response(status, "Retry-After: 1\r\n", "")))
            });
            let run = publish("fanout", server, &["--clients", "3", "--rate", "50", "--api-batch", batch]);
            assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 15.0 * 3.0);
            assert_eq!(run.figure("/results/refusals/0/count"), 1.0);
            let why = format!("the API answered \"{status}\"; sent again 1s later");
            assert_eq!(run.json["results"]["refusals"][0]["why"], why.as_str());
            let times: Vec<_> = seen.try_iter().collect();
            let pause = times[3].duration_since(times[2]);
            assert!(pause.as_millis() >= 990, "{pause:?}");
            // What waited is late, and says so.
            let lateness = run.figure("/results/phases/0/lateness/max_us");
            if lateness > 900_000.0 { Ok(()) } else { Err(format!("late by {lateness} us")) }
        });
    }
}

/// In a batch each publication has an answer; those without room are sent again, and what overtook them is seen.
#[test]
fn part_of_a_batch_is_sent_again() {
    let replies = r#"{"replies":[{"publish":{}},{"error":{"code":111,"message":"full"}}]}"#;
    let server = api_server(move |number, _| (number == 0).then(|| Some(response("200 OK", "", replies))));
    // The first request has the first burst of two. The server claims to have published one and delivers none.
    let options = ["--clients", "3", "--burst", "2", "--every", "60s", "--api-batch", "2", "--duration", "4s"];
    let run = publish("burst", server, &[&options[..], &SHORT_DRAIN].concat());
    assert_eq!(run.verdict(), "FAIL: 3 lost", "{}", run.output());
    assert_eq!(run.figure("/results/accounting/verified"), 3.0);
    assert_eq!(run.figure("/results/refusals/0/count"), 1.0);
}

/// What the API never accepted is not lost by the server: it is reported as not accepted.
#[test]
fn publication_that_is_never_accepted_is_not_a_loss() {
    let busy = || Some(Some(response("503 Service Unavailable", "Retry-After: 60\r\n", "")));
    let server = api_server(move |number, _| if number < 10 { None } else { busy() });
    let run = publish("fanout", server, &["--clients", "3", "--rate", "100", "--drain", "300ms"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: 20 not accepted by the API", Some(1)), "{}", run.output());
    assert_eq!(run.figure("/results/accounting/verified"), 30.0);
}

/// Between two requests a server may close; in the middle of one nobody knows what became of it.
#[test]
fn closed_connections_are_opened_again_or_end_the_run() {
    let close = |request: &Post| {
        let answer = accepted(false, request.publications().len());
        answer.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    };
    // The server says that it accepted the tenth message, and closes; it does not deliver that one.
    let server = api_server(move |number, request| (number == 9).then(|| Some(close(request))));
    let run = publish("fanout", server, &["--clients", "3", "--rate", "100"]);
    assert_eq!(run.verdict(), "FAIL: 3 lost", "the others came: {}", run.output());
    let server = api_server(|number, _| (number == 9).then_some(None));
    let run = publish("fanout", server, &["--clients", "3", "--rate", "100"]);
    expect_one_line(&run, 7, "closed a connection without an answer; it is unknown whether 1 messages were published");
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let refused = |scenario: &str, options: &[&str]| {
        let run = run(scenario, correct(), options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.output());
        run.stderr
    };
    let url = "ws://127.0.0.1:1/ws?channel={channel}";
    assert!(refused("chat", &["--url", url, "--publish", "api"]).contains("its members publish themselves"));
    assert!(
        refused("idle", &["--url", url, "--publish", "api", "--server-pid", "1"]).contains("--publish would have no")
    );
    assert!(refused("fanout", &["--publish", "api"]).contains("--publish api needs a channel"));
    assert!(refused("fanout", &["--api-batch", "2"]).contains("--api-batch would have no effect"));
    assert!(refused("fanout", &["--publish", "text"]).contains("--publish requires --protocol custom"));
    assert!(refused("fanout", &["--url", url, "--publish", "api", "--api-key", "a b"]).contains("printable ASCII"));
}
