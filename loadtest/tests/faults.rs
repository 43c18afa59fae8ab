//! Does the generator find what a server does wrong? A small server plants one fault, the exit code and the verdict
//! must name it: whether one process publishes and receives or two, and however the messages come.

mod support;

use support::server::{Member, faithful, serve};
use support::{Run, SHORT_DRAIN, raw, run};
use tokio_tungstenite::tungstenite::{Message, accept};

/// The client that suffers, and from which message on. It belongs to the second process if there are two; the first
/// client of the first process publishes, and receives too.
const VICTIM: usize = 3;
const AT: usize = 5;

/// What happens to a message on its way to the victim, given what was held back before.
type Fault = fn(number: usize, text: &str, held: &mut Vec<String>, victim: &Member);

/// 30 messages to four clients, in four ways.
const RUNS: [(&str, &[&str]); 4] = [
    ("fanout", &["--clients", "3", "--rate", "100"]),
    ("fanout", &["--clients", "3", "--rate", "100", "--processes", "2"]),
    ("chat", &["--clients", "4", "--rate", "25", "--processes", "2"]),
    ("burst", &["--clients", "3", "--burst", "10", "--every", "100ms"]),
];

fn run_with(fault: Fault, scenario: &str, options: &[&str]) -> Run {
    let mut held = Vec::new();
    let server = serve(move |number, text, member| {
        if member.number == VICTIM {
            fault(number, text, &mut held, member);
        } else {
            member.write(text);
        }
    });
    run(scenario, server, options)
}

/// Runs all scenarios at the same time.
fn run_all(run: impl Fn(&str, &[&str]) -> Run + Sync) -> Vec<Run> {
    std::thread::scope(|scope| {
        let run = &run;
        let handles = RUNS.map(|(scenario, options)| scope.spawn(move || run(scenario, options)));
        handles.into_iter().map(|handle| handle.join().expect("a run does not panic")).collect()
    })
}

/// Runs all scenarios against a server with `fault` and compares the exit code and the first line.
fn expect(fault: Fault, code: i32, verdict: &str) {
    expect_of(&run_all(|scenario, options| run_with(fault, scenario, options)), code, verdict);
}

fn expect_of(runs: &[Run], code: i32, verdict: &str) {
    for (run, (scenario, _)) in runs.iter().zip(RUNS) {
        assert_eq!(run.verdict(), verdict, "{scenario}: {}", run.words());
        assert_eq!(run.code, Some(code), "{scenario}");
    }
}

/// Who published it.
fn publisher(text: &str) -> &str {
    &text[4..8]
}

#[test]
fn faultless_server_passes() {
    expect(|_, text, _, victim| victim.write(text), 0, "PASS");
}

#[test]
fn lost_message_is_found() {
    expect(
        |number, text, _, victim| {
            if number != AT {
                victim.write(text);
            }
        },
        1,
        "FAIL: 1 lost",
    );
}

/// Nothing comes after it, so no gap shows: only the accounts do.
#[test]
fn lost_end_is_found() {
    let fault: Fault = |number, text, _, victim| {
        if number < 28 {
            victim.write(text);
        }
    };
    let runs = run_all(|scenario, options| run_with(fault, scenario, &[options, &SHORT_DRAIN].concat()));
    expect_of(&runs, 1, "FAIL: 2 lost");
}

#[test]
fn duplicated_message_is_found() {
    expect(
        |number, text, _, victim| {
            victim.write(text);
            if number == AT {
                victim.write(text);
            }
        },
        1,
        "FAIL: 1 duplicated",
    );
}

/// After the end of the load, when nothing is missing any more: a run listens for a moment longer. On a busy machine
/// the duplicate may be later than that, but not in every run.
#[test]
fn duplicated_end_is_found() {
    let fault: Fault = |number, text, _, victim| {
        victim.write(text);
        if number == 29 {
            victim.write_late(text);
        }
    };
    let until_found = |scenario: &str, options: &[&str]| {
        let mut runs = (0..20).map(|_| run_with(fault, scenario, options));
        runs.find(|run| run.verdict() != "PASS").expect("one of 20 runs finds it")
    };
    expect_of(&run_all(until_found), 1, "FAIL: 1 duplicated");
}

/// Only what one publisher sent has an order.
#[test]
fn reordered_message_is_found() {
    expect(
        |number, text, held, victim| {
            if number == AT {
                held.push(text.to_owned());
                return;
            }
            victim.write(text);
            held.extract_if(.., |held| publisher(held) == publisher(text)).for_each(|held| victim.write(&held));
        },
        1,
        "FAIL: 1 reordered",
    );
}

/// Messages of two publishers may overtake each other.
#[test]
fn order_between_publishers_is_no_fault() {
    let fault: Fault = |number, text, held, victim| {
        if number == AT {
            held.push(text.to_owned());
            return;
        }
        if held.first().is_some_and(|held| publisher(held) == publisher(text)) {
            held.drain(..).for_each(|held| victim.write(&held));
        }
        victim.write(text);
    };
    run_with(fault, "chat", &["--clients", "4", "--rate", "25"]).expect_pass();
}

#[test]
fn corrupt_message_is_found() {
    expect(
        |number, text, _, victim| {
            let text = if number == AT { text.replacen('k', "K", 1) } else { text.to_owned() };
            victim.write(&text);
        },
        1,
        "FAIL: 1 lost, 1 corrupt",
    );
}

#[test]
fn merged_messages_are_found() {
    expect(
        |number, text, held, victim| {
            if number == AT {
                held.push(text.to_owned());
                return;
            }
            victim.write(&(held.drain(..).collect::<String>() + text));
        },
        1,
        "FAIL: 2 lost, 1 merged",
    );
}

/// Joined as the chat protocol wants it, with a newline, is no fault.
#[test]
fn coalesced_messages_pass() {
    expect(
        |number, text, held, victim| {
            held.push(text.to_owned());
            if number % 3 == 2 {
                victim.write(&std::mem::take(held).join("\n"));
            }
        },
        0,
        "PASS",
    );
}

#[test]
fn split_message_is_found() {
    expect(
        |number, text, _, victim| {
            if number == AT {
                victim.write(&text[..30]);
                victim.write(&text[30..]);
            } else {
                victim.write(text);
            }
        },
        1,
        "FAIL: 1 lost, 2 split",
    );
}

#[test]
fn close_code_is_reported() {
    expect(
        |number, text, _, victim| {
            if number == AT {
                victim.close(1013, "busy");
            } else {
                victim.write(text);
            }
        },
        1,
        "FAIL: 1 closed with 1013 (busy)",
    );
}

#[test]
fn end_without_a_close_frame_is_1006() {
    expect(
        |number, text, _, victim| {
            if number == AT {
                victim.cut();
            } else {
                victim.write(text);
            }
        },
        1,
        "FAIL: 1 closed with 1006 (without a close frame)",
    );
}

/// What a closed receiver misses is counted, and is no loss of those that are there.
#[test]
fn closed_receiver_misses_what_comes_after() {
    let fault: Fault = |number, text, _, victim| {
        if number < AT {
            victim.write(text);
        } else if number == AT {
            victim.close(1013, "busy");
        }
    };
    let run = run_with(fault, "fanout", &["--clients", "3", "--rate", "100", "--processes", "2"]);
    assert_eq!(run.figure("/results/accounting/undelivered_closed"), 25.0, "{}", run.words());
    assert_eq!(run.figure("/results/accounting/verified"), 95.0);
    assert_eq!(run.figure("/results/accounting/expected"), 120.0);
}

#[test]
fn loss_in_a_closed_loop_is_found() {
    let fault: Fault = |number, text, _, victim| {
        if number != AT {
            victim.write(text);
        }
    };
    let run = run_with(fault, "saturate", &["--clients", "3", "--window", "4", "--processes", "2"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.words());
}

/// A line that is no record at all means that the server is not a chat server.
#[test]
fn other_protocol_is_one_line() {
    let server = raw(|_, stream| {
        std::thread::spawn(move || {
            let mut peer = accept(stream).unwrap();
            drop(peer.send(Message::text("{\"hello\":1}")));
            while peer.read().is_ok() {}
        });
        true
    });
    let run = run("fanout", server, &[&["--clients", "3"], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.code, Some(6));
    assert!(run.verdict().starts_with("STOPPED: the server speaks another protocol"), "{}", run.words());
}

#[test]
fn bad_usage_is_2() {
    let refused = |scenario, options: &[&str]| {
        let run = run(scenario, faithful(), options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.words());
        run.stderr
    };
    assert!(refused("fanout", &["--size", "10"]).contains("choose 41 to"));
    assert!(refused("burst", &["--every", "0s"]).contains("above 0"));
    assert!(refused("fanout", &["--rate", "1e-30"]).contains("above 0"));
}
