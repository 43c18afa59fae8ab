//! A run measures the server and what it was asked to measure, or says that it did not.

mod support;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{available_parallelism, scope};
use support::server::{chat_server, correct_server};
use support::{raw_server, run};

/// A generator without a core measures itself: the run is invalid whatever the server did, and no limit is held
/// against it.
#[test]
fn generator_without_a_core_is_invalid() {
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        // On a calm machine it would not wait at all.
        for _ in 0..available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        let _end = End(&is_over);
        expect_waiting();
    });
}

/// Ends the busy threads, also of a test that fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn expect_waiting() {
    let limit = ["--generator-waiting-max", "0.000000001", "--assert", "p50<1us"];
    for (scenario, options) in [
        ("fanout", &["--clients", "3", "--rate", "200", "--duration", "2s"][..]),
        ("saturate", &["--clients", "3", "--duration", "2s"][..]),
        ("ramp", &["--from", "2", "--step", "1", "--steps", "2", "--duration", "2s"][..]),
    ] {
        let run = run(scenario, correct_server(), &[options, &limit].concat());
        assert_eq!(run.code, Some(4), "{}", run.output());
        assert!(run.verdict().starts_with("INVALID: the generator waited "), "{}", run.output());
        assert!(!run.verdict().contains("p50") && !run.verdict().contains("step"), "{}", run.output());
    }
}

/// A page that cannot be read is not silently left out.
#[test]
fn unreadable_metrics_page_ends_the_run_before_the_load() {
    let nothing = raw_server(|_, _| true);
    let url = format!("http://{nothing}/metrics");
    let run = run("fanout", correct_server(), &["--clients", "3", "--server-metrics", &url]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{}", run.output());
    assert!(run.stderr.contains(&format!("--server-metrics {url} cannot be read")), "{}", run.stderr);
}

/// The table says in which channel the load was.
#[test]
fn load_is_in_the_channel_that_is_named() {
    let (sender, seen) = sync_channel(1024);
    let server = chat_server(move |_, text, client| {
        sender.try_send(client.query.clone()).ok();
        client.write(text);
    });
    let url = format!("ws://{server}/ws?channel={{channel}}");
    for (channel, options) in [("loadtest", &[][..]), ("room", &["--channel", "room"][..])] {
        let run = run("fanout", server, &[&["--clients", "3", "--url", &url], options].concat());
        assert!(run.stdout.contains(&format!("{url}, channel {channel}\n")), "{}", run.output());
        assert!(seen.try_iter().all(|query| query == format!("channel={channel}")));
    }
    let run = run("fanout", server, &["--clients", "3"]);
    assert!(run.stdout.contains("/ws, in the channel that the server chooses\n"), "{}", run.output());
}
