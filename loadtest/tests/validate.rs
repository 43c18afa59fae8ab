//! Do validators, whom another library drives, see what the engine's own clients do not?

mod support;

use support::run;
use support::server::{Member, Service, start};

/// Everybody hears everything, and the first who joined, a validator, in the way of the function.
struct Chat {
    joined: usize,
    count: usize,
    behave: fn(usize, &str, &Member),
}

impl Service for Chat {
    fn join(&mut self, member: &mut Member) {
        if self.joined == 0 {
            member.channels.push("first".to_owned());
        }
        self.joined += 1;
    }

    fn hear(&mut self, members: &mut [Member], _from: usize, text: &str) {
        for member in members {
            if member.channels.is_empty() {
                member.write(text);
            } else {
                (self.behave)(self.count, text, member);
            }
        }
        self.count += 1;
    }
}

fn verdict(behave: fn(usize, &str, &Member)) -> support::Run {
    let server = start(Chat { joined: 0, count: 0, behave });
    run("fanout", server, &["--clients", "3", "--rate", "100", "--validate", "2"])
}

#[test]
fn validators_see_every_delivery_too() {
    let run = verdict(|_, text, member| member.write(text));
    run.expect_pass();
    let messages = run.figure("/results/accounting/verified") / 4.0;
    assert!(messages > 0.0);
    assert_eq!(run.figure("/results/accounting/validated") / 2.0, messages);
}

#[test]
fn loss_that_only_a_validator_suffers_is_found() {
    let run = verdict(|number, text, member| {
        if number != 5 {
            member.write(text);
        }
    });
    assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.words());
}

/// A frame that fastwebsockets refuses, with a reserved bit set.
#[test]
fn frame_that_the_library_refuses_is_found() {
    let run = verdict(|number, text, member| match number {
        5 => member.write_raw(b"\xc1\x00"),
        _ => member.write(text),
    });
    assert!(run.verdict().starts_with("FAIL: 1 closed with 1006 (fastwebsockets: "), "{}", run.words());
}
