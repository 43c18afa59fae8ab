//! Clients that left get exactly what they missed, or the run says what they did not get.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use support::server::{Client, Service, start};
use support::{Run, SHORT_DRAIN, run};

/// A chat server that numbers lines and keeps all of them.
struct NumberedServer {
    lines: Vec<String>,
    /// The number of lines of the past sent so far.
    replayed: usize,
    fault: Fault,
}

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// It leaves out the line of the past with this number, counted over all clients.
    Omits(usize),
    Repeats(usize),
    /// Two lines of the past change places.
    Swaps(usize),
    /// It keeps no history.
    Forgets,
    /// It says that it cannot give what a client missed.
    GivesUp,
    /// It answers from a position one too late.
    IsOffByOne,
}

impl NumberedServer {
    fn line(&self, offset: usize) -> String {
        format!("{offset} 1764320000123 {}", self.lines[offset - 1])
    }

    /// Sends what a client missed.
    fn replay(&mut self, client: &Client, since: usize) {
        let since = if self.fault == Fault::IsOffByOne { since + 1 } else { since };
        let mut offsets: Vec<_> = (since + 1..=self.lines.len()).collect();
        let len = offsets.len();
        client.write(&format!(" [throng] position 8c1f00a2b7d3e945:{} {len} recovered", self.lines.len()));
        if let Fault::Swaps(at) = self.fault
            && (self.replayed..self.replayed + len - 1).contains(&at)
        {
            offsets.swap(at - self.replayed, at - self.replayed + 1);
        }
        for offset in offsets {
            let times = match self.fault {
                Fault::Omits(at) if at == self.replayed => 0,
                Fault::Repeats(at) if at == self.replayed => 2,
                _ => 1,
            };
            (0..times).for_each(|_| client.write(&self.line(offset)));
            self.replayed += 1;
        }
    }
}

impl Service for NumberedServer {
    fn on_connect(&mut self, client: &mut Client) {
        let mut parameters = client.query.split('&').filter_map(|parameter| parameter.split_once('='));
        let since = parameters.find(|(name, _)| *name == "since").map(|(_, position)| position.to_owned());
        let top = self.lines.len();
        match (since, self.fault) {
            (_, Fault::Forgets) => client.write(" [throng] position none 0"),
            (Some(_), Fault::GivesUp) => {
                client.write(&format!(" [throng] position 8c1f00a2b7d3e945:{top} 0 incomplete"));
            }
            (Some(position), _) => {
                let (epoch, offset) = position.split_once(':').unwrap();
                assert_eq!(epoch, "8c1f00a2b7d3e945");
                self.replay(client, offset.parse().unwrap());
            }
            (None, _) => client.write(&format!(" [throng] position 8c1f00a2b7d3e945:{top} 0")),
        }
        client.write(" [throng] here 3");
    }

    fn on_message(&mut self, clients: &mut [Client], _: usize, text: &str) {
        self.lines.push(text.to_owned());
        let line = self.line(self.lines.len());
        clients.iter().for_each(|client| client.write(&line));
    }
}

/// Four clients leave, miss ten messages and return within 100 ms; two stay.
fn recover(fault: Fault, options: &[&str]) -> Run {
    let server = start(NumberedServer { lines: Vec::new(), replayed: 0, fault });
    let load = ["--clients", "6", "--leavers", "4", "--missed", "10", "--within", "100ms", "--rate", "100"];
    run("recovery", server, &[&load[..], options].concat())
}

/// 30 messages in the calm phase reach all, ten while they are away and 20 during the return reach each once, whether
/// they were there or not.
#[test]
fn clients_that_return_get_what_they_missed() {
    for processes in ["1", "3"] {
        let run = recover(Fault::None, &["--processes", processes]);
        run.expect_pass();
        assert_eq!(run.figure("/results/accounting/verified"), 60.0 * 7.0);
        let figure = |name: &str| run.figure(&format!("/results/recovery/{name}"));
        assert_eq!((figure("stayed"), figure("left"), figure("back"), figure("attempts")), (3.0, 4.0, 4.0, 4.0));
        assert_eq!((figure("missed"), figure("recovered"), figure("incomplete")), (10.0, 4.0, 0.0));
        // Some of the 20 messages may have been published before a client was back.
        assert!((40.0..=120.0).contains(&figure("lines")), "{}", figure("lines"));
        assert!(figure("back_100_s") > 0.0 && figure("p99_ratio") > 0.0, "{}", run.json);
        let phases = run.json["results"]["phases"].as_array().unwrap();
        assert_eq!(phases.iter().map(|phase| &phase["name"]).collect::<Vec<_>>(), ["calm", "return"]);
        // Latency is that of the three that stay, in both phases.
        assert_eq!((&phases[0]["latency"]["count"], &phases[1]["latency"]["count"]), (&90.into(), &60.into()));
        assert!(run.stdout.contains("others' p99, return/calm"), "{}", run.output());
    }
}

#[test]
fn what_the_server_keeps_back_is_found() {
    for (fault, verdict) in [
        (Fault::Omits(13), "FAIL: 1 lost"),
        (Fault::Repeats(13), "FAIL: 1 duplicated"),
        // Of the ten or more that the first client gets: its last line would have none to change places with.
        (Fault::Swaps(5), "FAIL: 1 reordered"),
        (Fault::IsOffByOne, "FAIL: 4 lost"),
    ] {
        for processes in ["1", "2"] {
            let run = recover(fault, &["--processes", processes]);
            assert_eq!((run.verdict(), run.code), (verdict, Some(1)), "{fault:?}: {}", run.output());
        }
    }
}

/// A server that says so is honest, and has lost it all the same.
#[test]
fn recovery_that_is_incomplete_is_a_fault() {
    let run = recover(Fault::GivesUp, &SHORT_DRAIN);
    let (verdict, lost) = (run.verdict(), run.figure("/results/accounting/lost"));
    assert!(verdict.starts_with("FAIL: ") && verdict.ends_with(" lost, 4 recovered incompletely"), "{}", run.output());
    assert!(lost >= 40.0, "{lost}");
}

#[test]
fn channel_without_history_is_refused_before_anything_is_missed() {
    let run = recover(Fault::Forgets, &[]);
    assert_eq!(run.code, Some(5), "{}", run.output());
    assert!(run.stderr.contains("the channel keeps no history"), "{}", run.stderr);
}

/// The protocol is for every scenario: a client that reconnects goes on where it was, whatever happened meanwhile.
#[test]
fn numbered_clients_recover_in_other_scenarios_too() {
    let churn = ["--protocol", "numbered", "--clients", "6", "--rate", "100", "--churn-rate", "20", "--duration", "1s"];
    for (fault, is_whole) in [(Fault::None, true), (Fault::IsOffByOne, false)] {
        let run = run("churn", start(NumberedServer { lines: Vec::new(), replayed: 0, fault }), &churn);
        assert_eq!(run.code == Some(0), is_whole, "{}", run.output());
        // 100 messages in each phase to seven clients, of which some are away for a moment.
        assert!(!is_whole || run.figure("/results/accounting/verified") == 1400.0, "{}", run.output());
    }
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let refused = |options: &[&str]| {
        let run = recover(Fault::None, options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.output());
        run.stderr
    };
    assert!(refused(&["--leavers", "6"]).contains("some have to stay"));
    assert!(refused(&["--protocol", "plain"]).contains("recovery needs --protocol numbered"));
}
