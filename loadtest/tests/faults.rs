//! Each test runs against a server with one fault; exit code and verdict must name it, with one worker process and with
//! two, and with every way of publishing.

mod support;

use support::server::{Client, chat_server, correct_server};
use support::{Run, SHORT_DRAIN, raw_server, run};
use tokio_tungstenite::tungstenite::{Message, accept};

/// The client whose deliveries have the fault. It belongs to the second process if there are two.
const RECEIVER: usize = 3;
/// The number of the message with the fault.
const FAULTY: usize = 5;

/// Delivers a message to the receiver, with the fault; `held` keeps messages for later.
type Fault = fn(number: usize, text: &str, held: &mut Vec<String>, receiver: &Client);

/// 30 messages to four clients, in four ways.
const RUNS: [(&str, &[&str]); 4] = [
    ("fanout", &["--clients", "3", "--rate", "100"]),
    ("fanout", &["--clients", "3", "--rate", "100", "--processes", "2"]),
    ("chat", &["--clients", "4", "--rate", "25", "--processes", "2"]),
    ("burst", &["--clients", "3", "--burst", "10", "--every", "100ms"]),
];

fn run_with(fault: Fault, scenario: &str, options: &[&str]) -> Run {
    let mut held = Vec::new();
    let server = chat_server(move |number, text, client| {
        if client.number == RECEIVER {
            fault(number, text, &mut held, client);
        } else {
            client.write(text);
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
        assert_eq!(run.verdict(), verdict, "{scenario}: {}", run.output());
        assert_eq!(run.code, Some(code), "{scenario}");
    }
}

/// Returns the publisher's number in a record.
fn publisher(text: &str) -> &str {
    &text[4..8]
}

#[test]
fn correct_server_passes() {
    expect(|_, text, _, receiver| receiver.write(text), 0, "PASS");
}

#[test]
fn lost_message_is_found() {
    expect(
        |number, text, _, receiver| {
            if number != FAULTY {
                receiver.write(text);
            }
        },
        1,
        "FAIL: 1 lost",
    );
}

/// No later message shows a gap; only the count does.
#[test]
fn loss_of_the_last_messages_is_found() {
    let fault: Fault = |number, text, _, receiver| {
        if number < 28 {
            receiver.write(text);
        }
    };
    let runs = run_all(|scenario, options| run_with(fault, scenario, &[options, &SHORT_DRAIN].concat()));
    expect_of(&runs, 1, "FAIL: 2 lost");
}

#[test]
fn duplicated_message_is_found() {
    expect(
        |number, text, _, receiver| {
            receiver.write(text);
            if number == FAULTY {
                receiver.write(text);
            }
        },
        1,
        "FAIL: 1 duplicated",
    );
}

/// The duplicate comes after the last expected message: a run reads for a moment longer. On a busy machine the
/// duplicate may come later than that, but not in every run.
#[test]
fn duplicate_of_the_last_message_is_found() {
    let fault: Fault = |number, text, _, receiver| {
        receiver.write(text);
        if number == 29 {
            receiver.write_late(text);
        }
    };
    let until_found = |scenario: &str, options: &[&str]| {
        let mut runs = (0..20).map(|_| run_with(fault, scenario, options));
        runs.find(|run| run.verdict() != "PASS").expect("one of 20 runs finds it")
    };
    expect_of(&run_all(until_found), 1, "FAIL: 1 duplicated");
}

/// Order is defined per publisher.
#[test]
fn reordered_message_is_found() {
    expect(
        |number, text, held, receiver| {
            if number == FAULTY {
                held.push(text.to_owned());
                return;
            }
            receiver.write(text);
            held.extract_if(.., |held| publisher(held) == publisher(text)).for_each(|held| receiver.write(&held));
        },
        1,
        "FAIL: 1 reordered",
    );
}

/// Messages of two publishers may overtake each other.
#[test]
fn reordering_between_publishers_passes() {
    let fault: Fault = |number, text, held, receiver| {
        if number == FAULTY {
            held.push(text.to_owned());
            return;
        }
        if held.first().is_some_and(|held| publisher(held) == publisher(text)) {
            held.drain(..).for_each(|held| receiver.write(&held));
        }
        receiver.write(text);
    };
    run_with(fault, "chat", &["--clients", "4", "--rate", "25"]).expect_pass();
}

#[test]
fn corrupt_message_is_found() {
    expect(
        |number, text, _, receiver| {
            let text = if number == FAULTY { text.replacen('k', "K", 1) } else { text.to_owned() };
            receiver.write(&text);
        },
        1,
        "FAIL: 1 lost, 1 corrupt",
    );
}

#[test]
fn merged_messages_are_found() {
    expect(
        |number, text, held, receiver| {
            if number == FAULTY {
                held.push(text.to_owned());
                return;
            }
            receiver.write(&(held.drain(..).collect::<String>() + text));
        },
        1,
        "FAIL: 2 lost, 1 merged",
    );
}

/// The chat protocol joins messages with newlines.
#[test]
fn coalesced_messages_pass() {
    expect(
        |number, text, held, receiver| {
            held.push(text.to_owned());
            if number % 3 == 2 {
                receiver.write(&std::mem::take(held).join("\n"));
            }
        },
        0,
        "PASS",
    );
}

#[test]
fn split_message_is_found() {
    expect(
        |number, text, _, receiver| {
            if number == FAULTY {
                receiver.write(&text[..30]);
                receiver.write(&text[30..]);
            } else {
                receiver.write(text);
            }
        },
        1,
        "FAIL: 1 lost, 2 split",
    );
}

#[test]
fn close_code_is_reported() {
    expect(
        |number, text, _, receiver| {
            if number == FAULTY {
                receiver.close(1013, "busy");
            } else {
                receiver.write(text);
            }
        },
        1,
        "FAIL: 1 closed with 1013 (busy)",
    );
}

#[test]
fn connection_closed_without_a_close_frame_is_1006() {
    expect(
        |number, text, _, receiver| {
            if number == FAULTY {
                receiver.cut();
            } else {
                receiver.write(text);
            }
        },
        1,
        "FAIL: 1 closed with 1006 (without a close frame)",
    );
}

/// Messages for a closed receiver are counted separately from lost ones.
#[test]
fn undelivered_messages_of_a_closed_receiver_are_counted() {
    let fault: Fault = |number, text, _, receiver| {
        if number < FAULTY {
            receiver.write(text);
        } else if number == FAULTY {
            receiver.close(1013, "busy");
        }
    };
    let run = run_with(fault, "fanout", &["--clients", "3", "--rate", "100", "--processes", "2"]);
    assert_eq!(run.figure("/results/accounting/undelivered_closed"), 25.0, "{}", run.output());
    assert_eq!(run.figure("/results/accounting/verified"), 95.0);
    assert_eq!(run.figure("/results/accounting/expected"), 120.0);
}

#[test]
fn loss_in_a_closed_loop_is_found() {
    let fault: Fault = |number, text, _, receiver| {
        if number != FAULTY {
            receiver.write(text);
        }
    };
    let run = run_with(fault, "saturate", &["--clients", "3", "--window", "4", "--processes", "2"]);
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.output());
}

/// A text that is not a record means that the server speaks another protocol.
#[test]
fn server_of_another_protocol_stops_the_run() {
    let server = raw_server(|_, stream| {
        std::thread::spawn(move || {
            let mut peer = accept(stream).unwrap();
            drop(peer.send(Message::text("{\"hello\":1}")));
            while peer.read().is_ok() {}
        });
        true
    });
    let run = run("fanout", server, &[&["--clients", "3"], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.code, Some(6));
    assert!(run.verdict().starts_with("STOPPED: the server speaks another protocol"), "{}", run.output());
}

#[test]
fn impossible_flag_values_exit_with_2() {
    let refused = |scenario, options: &[&str]| {
        let run = run(scenario, correct_server(), options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.output());
        run.stderr
    };
    assert!(refused("fanout", &["--size", "10"]).contains("choose 41 to"));
    assert!(refused("burst", &["--every", "0s"]).contains("above 0"));
    assert!(refused("fanout", &["--rate", "1e-30"]).contains("above 0"));
}
