//! Validators, which another WebSocket library drives, find faults that the generator's own clients do not see.

mod support;

use support::run;
use support::server::{Client, Service, start};

/// A chat server that delivers correctly to all clients but the first, a validator, for which it calls `deliver`.
struct ValidatorChat {
    connected: usize,
    count: usize,
    deliver: fn(usize, &str, &Client),
}

impl Service for ValidatorChat {
    fn on_connect(&mut self, client: &mut Client) {
        if self.connected == 0 {
            client.channels.push("first".to_owned());
        }
        self.connected += 1;
    }

    fn on_message(&mut self, clients: &mut [Client], _from: usize, text: &str) {
        for client in clients {
            if client.channels.is_empty() {
                client.write(text);
            } else {
                (self.deliver)(self.count, text, client);
            }
        }
        self.count += 1;
    }
}

fn run_with_validators(deliver: fn(usize, &str, &Client)) -> support::Run {
    let server = start(ValidatorChat { connected: 0, count: 0, deliver });
    run("fanout", server, &["--clients", "3", "--rate", "100", "--validate", "2"])
}

#[test]
fn validators_count_every_delivery() {
    let run = run_with_validators(|_, text, client| client.write(text));
    run.expect_pass();
    let messages = run.figure("/results/accounting/verified") / 4.0;
    assert!(messages > 0.0);
    assert_eq!(run.figure("/results/accounting/validated") / 2.0, messages);
}

#[test]
fn message_lost_only_for_a_validator_is_found() {
    let run = run_with_validators(|number, text, client| {
        if number != 5 {
            client.write(text);
        }
    });
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.output());
}

/// A frame that fastwebsockets refuses, with a reserved bit set.
#[test]
fn frame_with_a_reserved_bit_is_found() {
    let run = run_with_validators(|number, text, client| match number {
        5 => client.write_raw(b"\xc1\x00"),
        _ => client.write(text),
    });
    assert!(run.verdict().starts_with("FAIL: 1 closed with 1006 (fastwebsockets: "), "{}", run.output());
}
