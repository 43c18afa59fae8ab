//! Does the generator speak to servers that wrap their messages? One of the Centrifuge client protocol and one with an
//! envelope of its own are served rightly, and wrongly.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::{Value, json};
use support::server::{Member, Service, start};
use support::{Run, SHORT_DRAIN, run};

/// A server of the Centrifuge protocol. Everything that one message of a client brings about is one message to each.
struct Centrifuge {
    fault: Fault,
    count: usize,
    /// A push that waits for the next, if they come in pairs.
    held: Option<Value>,
    /// Who answered a ping.
    pongs: SyncSender<usize>,
}

/// What is wrong with a server.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Not a fault: two pushes share a message.
    Pairs,
    /// The last client misses the sixth publication.
    Loses,
    /// Everybody is pushed what is in any channel.
    MixesUp,
    /// Error 103 is the answer to this command.
    Denies(&'static str),
}

impl Centrifuge {
    fn start(fault: Fault) -> (SocketAddr, Receiver<usize>) {
        let (pongs, heard) = sync_channel(1024);
        (start(Self { fault, count: 0, held: None, pongs }), heard)
    }

    /// The answer to a command.
    fn answer(&self, command: &Value, member: &mut Member) -> Value {
        let (id, is) = (&command["id"], |name: &str| command[name].is_object());
        if let Fault::Denies(name) = self.fault
            && is(name)
        {
            return json!({ "id": id, "error": { "code": 103, "message": "permission denied" } });
        }
        if is("connect") {
            return json!({ "id": id, "connect": { "client": "x", "version": "0", "ping": 25, "pong": true } });
        }
        if is("subscribe") {
            member.channels.push(command["subscribe"]["channel"].as_str().unwrap().to_owned());
            return json!({ "id": id, "subscribe": {} });
        }
        assert!(is("publish"), "{command}");
        json!({ "id": id, "publish": {} })
    }

    /// Pushes a publication, which has just been answered with `answer`, and asks for a sign of life beside the tenth.
    fn push(&mut self, members: &[Member], from: usize, publish: &Value, answer: &Value) {
        let (channel, number) = (publish["channel"].as_str().unwrap(), self.count);
        self.count += 1;
        let push = json!({ "push": { "channel": channel, "pub": { "data": publish["data"], "offset": number } } });
        let is_held = self.fault == Fault::Pairs && number.is_multiple_of(2);
        let earlier = self.held.take();
        for (index, member) in members.iter().enumerate() {
            let mut batch: Vec<&Value> = if index == from { vec![answer] } else { Vec::new() };
            let (empty, join) = (json!({}), json!({ "push": { "channel": channel, "join": {} } }));
            if number == 10 {
                batch.extend([&join, &empty]);
            }
            let is_subscriber = member.channels.iter().any(|name| name == channel) || self.fault == Fault::MixesUp;
            let is_lost = self.fault == Fault::Loses && (member.number, number) == (3, 5);
            if is_subscriber && !is_lost && !is_held {
                batch.extend(&earlier);
                batch.push(&push);
            }
            write(member, &batch);
        }
        self.held = is_held.then_some(push);
    }
}

fn write(member: &Member, batch: &[&Value]) {
    let lines: Vec<_> = batch.iter().map(ToString::to_string).collect();
    if !lines.is_empty() {
        member.write(&lines.join("\n"));
    }
}

impl Service for Centrifuge {
    fn hear(&mut self, members: &mut [Member], from: usize, text: &str) {
        let mut answers = Vec::new();
        for line in text.lines() {
            let command: Value = serde_json::from_str(line).unwrap();
            if command == json!({}) {
                self.pongs.try_send(members[from].number).unwrap();
                continue;
            }
            let answer = self.answer(&command, &mut members[from]);
            match command.get("publish") {
                Some(publish) if answer.get("error").is_none() => self.push(members, from, publish, &answer),
                _ => answers.push(answer),
            }
        }
        write(&members[from], &answers.iter().collect::<Vec<_>>());
    }
}

fn centrifuge(fault: Fault, scenario: &str, options: &[&str]) -> (Run, Vec<usize>) {
    let (server, pongs) = Centrifuge::start(fault);
    let run = run(scenario, server, &[&["--protocol", "centrifuge", "--processes", "2"], options].concat());
    let mut pongs: Vec<_> = pongs.try_iter().collect();
    pongs.sort_unstable();
    (run, pongs)
}

const FANOUT: [&str; 4] = ["--clients", "3", "--rate", "100"];
/// With this seed not all stand in the same three.
const CHANNELS: [&str; 10] =
    ["--clients", "4", "--rate", "100", "--channels", "5", "--subscriptions", "3", "--seed", "7"];

/// Every client answers the ping, which shares a message with what came with it, exactly once.
#[test]
fn centrifuge_server_is_understood_and_answered() {
    for (fault, scenario, options) in [
        (Fault::None, "fanout", &FANOUT[..]),
        (Fault::Pairs, "fanout", &FANOUT[..]),
        (Fault::None, "chat", &["--clients", "4", "--rate", "25"][..]),
        (Fault::None, "channels", &CHANNELS[..]),
    ] {
        let (run, pongs) = centrifuge(fault, scenario, options);
        run.expect_pass();
        assert_eq!(pongs, [0, 1, 2, 3], "{scenario}");
        if scenario == "channels" {
            assert_eq!(run.figure("/results/channels/subscriptions"), 12.0);
        } else {
            assert_eq!(run.figure("/results/accounting/verified"), 120.0, "{scenario}");
        }
    }
}

#[test]
fn lost_push_is_found() {
    for (scenario, options) in [("fanout", &FANOUT[..]), ("chat", &["--clients", "4", "--rate", "25"][..])] {
        let (run, _) = centrifuge(Fault::Loses, scenario, options);
        assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{scenario}: {}", run.words());
    }
}

#[test]
fn push_of_a_channel_that_nobody_asked_for_is_found() {
    let (run, _) = centrifuge(Fault::MixesUp, "channels", &CHANNELS);
    assert_eq!(run.code, Some(1), "{}", run.words());
    assert!(run.figure("/results/accounting/corrupt") > 0.0);
    assert_eq!(run.figure("/results/accounting/lost"), 0.0);
}

/// Whichever command it answers: a publication is refused only once the load is on.
#[test]
fn error_reply_is_a_refusal() {
    for command in ["connect", "subscribe", "publish"] {
        let (run, _) = centrifuge(Fault::Denies(command), "fanout", &FANOUT);
        assert_eq!(run.code, Some(5), "{command}: {}", run.words());
        assert!(run.stderr.contains(r#""code":103"#) && run.stderr.contains("permission denied"), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
}

/// A server that greets, wants to be asked, confirms, and puts each message into an envelope of one line or more.
struct Enveloped {
    /// Before the message.
    lead: &'static str,
    /// Loses the sixth message to the last client.
    loses: bool,
    count: usize,
}

impl Service for Enveloped {
    fn join(&mut self, member: &mut Member) {
        member.write("INFO {}\r\n");
    }

    fn hear(&mut self, members: &mut [Member], from: usize, text: &str) {
        if let Some(channel) = text.strip_prefix("SUB ") {
            members[from].channels.push(channel.to_owned());
            return members[from].write("+OK\r\n");
        }
        let (head, payload) = text.strip_suffix("\r\n").unwrap().split_once("\r\n").unwrap();
        let (channel, len) = head.strip_prefix("PUB ").unwrap().split_once(' ').unwrap();
        assert_eq!(len.parse(), Ok(payload.len()));
        let envelope = format!("MSG {channel} {len}{}{payload}\r\n", self.lead);
        for member in members.iter().filter(|member| member.channels.iter().any(|name| name == channel)) {
            if !(self.loses && (member.number, self.count) == (3, 5)) {
                member.write(&envelope);
            }
        }
        self.count += 1;
    }
}

fn enveloped(lead: &'static str, loses: bool, options: &[&str]) -> Run {
    let server = start(Enveloped { lead, loses, count: 0 });
    let custom = ["--protocol", "custom", "--hello", "SUB {channel}", "--ready", "+OK", "--channel", "lobby"];
    let publish = ["--publish", "PUB {channel} 64\r\n{record}\r\n"];
    run("fanout", server, &[&FANOUT[..], &custom, &publish, options].concat())
}

#[test]
fn message_in_an_envelope_is_found() {
    for (lead, options) in [("\r\n", &[][..]), (" data=", &["--marker", "data="][..])] {
        let run = enveloped(lead, false, options);
        assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 120.0);
        let run = enveloped(lead, true, options);
        assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.words());
    }
}

/// What stands behind the marker is no message then.
#[test]
fn wrong_marker_is_another_protocol() {
    let run = enveloped(" data=", false, &[&["--marker", "MSG "], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.code, Some(6), "{}", run.words());
    assert!(run.stdout.contains("speaks another protocol"), "{}", run.words());
}

/// Who is not ready does not hear, so that the load must wait for all.
#[test]
fn client_without_its_ready_line_is_not_connected() {
    struct Deaf;
    impl Service for Deaf {
        fn hear(&mut self, members: &mut [Member], from: usize, _: &str) {
            members[from].close(4000, "say please");
        }
    }
    let run = run("fanout", start(Deaf), &["--protocol", "custom", "--hello", "SUB x", "--ready", "+OK"]);
    assert_eq!(run.code, Some(5), "{}", run.words());
    assert!(run.stderr.contains("closed with 4000 say please instead of an answer"), "{}", run.stderr);
}
