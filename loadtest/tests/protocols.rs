//! Servers whose protocol wraps the messages: one of the Centrifuge client protocol and one with a custom envelope,
//! each correct and with faults.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use support::protobuf;
use support::server::{Client, Service, start};
use support::{Run, SHORT_DRAIN, run};

/// A server of the Centrifuge protocol. All that one message of a client causes is sent to a client as one message.
struct Centrifuge {
    protocol: &'static str,
    fault: Fault,
    count: usize,
    /// A push that is held back until the next one, with [`Fault::Pairs`].
    held: Option<Value>,
    /// The numbers of clients that answered a ping.
    pongs: SyncSender<usize>,
}

/// The fault of a server.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Not a fault: two pushes share a message.
    Pairs,
    /// The last client misses the sixth publication.
    LosesMessage,
    /// Publications of every channel are pushed to every client.
    WrongChannel,
    /// This command is answered with error 103.
    Denies(&'static str),
}

impl Centrifuge {
    fn start(protocol: &'static str, fault: Fault) -> (SocketAddr, Receiver<usize>) {
        let (pongs, received) = sync_channel(1024);
        (start(Self { protocol, fault, count: 0, held: None, pongs }), received)
    }

    /// Returns the reply to a command.
    fn answer(&self, command: &Value, client: &mut Client) -> Value {
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
            client.channels.push(command["subscribe"]["channel"].as_str().unwrap().to_owned());
            return json!({ "id": id, "subscribe": {} });
        }
        assert!(is("publish"), "{command}");
        json!({ "id": id, "publish": {} })
    }

    /// Pushes a publication, whose reply is `answer`; a ping accompanies the tenth.
    fn push(&mut self, clients: &[Client], from: usize, publish: &Value, answer: &Value) {
        let (channel, number) = (publish["channel"].as_str().unwrap(), self.count);
        self.count += 1;
        let push = json!({ "push": { "channel": channel, "pub": { "data": publish["data"], "offset": number } } });
        let is_held = self.fault == Fault::Pairs && number.is_multiple_of(2);
        let earlier = self.held.take();
        for (index, client) in clients.iter().enumerate() {
            let mut batch: Vec<&Value> = if index == from { vec![answer] } else { Vec::new() };
            let (empty, join) = (json!({}), json!({ "push": { "channel": channel, "join": {} } }));
            if number == 10 {
                batch.extend([&join, &empty]);
            }
            let is_subscriber = client.channels.iter().any(|name| name == channel) || self.fault == Fault::WrongChannel;
            let is_lost = self.fault == Fault::LosesMessage && (client.number, number) == (3, 5);
            if is_subscriber && !is_lost && !is_held {
                batch.extend(&earlier);
                batch.push(&push);
            }
            self.write(client, &batch);
        }
        self.held = is_held.then_some(push);
    }
}

impl Centrifuge {
    fn write(&self, client: &Client, batch: &[&Value]) {
        if batch.is_empty() {
        } else if self.protocol == PROTOBUF {
            client.write_binary(protobuf::replies(batch));
        } else {
            client.write(&batch.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
    }

    fn execute(&mut self, clients: &mut [Client], from: usize, commands: &[Value]) {
        let mut answers = Vec::new();
        for command in commands {
            if *command == json!({}) {
                self.pongs.try_send(clients[from].number).unwrap();
                continue;
            }
            let answer = self.answer(command, &mut clients[from]);
            match command.get("publish") {
                Some(publish) if answer.get("error").is_none() => self.push(clients, from, publish, &answer),
                _ => answers.push(answer),
            }
        }
        self.write(&clients[from], &answers.iter().collect::<Vec<_>>());
    }
}

impl Service for Centrifuge {
    fn on_message(&mut self, clients: &mut [Client], from: usize, text: &str) {
        assert_eq!(self.protocol, JSON);
        let commands: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.execute(clients, from, &commands);
    }

    fn on_binary(&mut self, clients: &mut [Client], from: usize, bytes: &[u8]) {
        assert_eq!(self.protocol, PROTOBUF);
        self.execute(clients, from, &protobuf::commands(bytes));
    }
}

const JSON: &str = "centrifuge";
const PROTOBUF: &str = "centrifuge-protobuf";

fn centrifuge(protocol: &'static str, fault: Fault, scenario: &str, options: &[&str]) -> (Run, Vec<usize>) {
    let (server, pongs) = Centrifuge::start(protocol, fault);
    let run = run(scenario, server, &[&["--protocol", protocol, "--processes", "2"], options].concat());
    let mut pongs: Vec<_> = pongs.try_iter().collect();
    pongs.sort_unstable();
    (run, pongs)
}

const FANOUT: [&str; 4] = ["--clients", "3", "--rate", "100"];
/// With this seed the clients have different subscriptions.
const CHANNELS: [&str; 10] =
    ["--clients", "4", "--rate", "100", "--channels", "5", "--subscriptions", "3", "--seed", "7"];

/// Every client answers the ping, which shares a message with a push, exactly once.
#[test]
fn centrifuge_pushes_are_verified_and_pings_answered() {
    for (protocol, fault, scenario, options) in [
        (JSON, Fault::None, "fanout", &FANOUT[..]),
        (JSON, Fault::Pairs, "fanout", &FANOUT[..]),
        (JSON, Fault::None, "chat", &["--clients", "4", "--rate", "25"][..]),
        (JSON, Fault::None, "channels", &CHANNELS[..]),
        (PROTOBUF, Fault::Pairs, "fanout", &FANOUT[..]),
        (PROTOBUF, Fault::None, "chat", &["--clients", "4", "--rate", "25"][..]),
        (PROTOBUF, Fault::None, "channels", &CHANNELS[..]),
    ] {
        let (run, pongs) = centrifuge(protocol, fault, scenario, options);
        run.expect_pass();
        assert_eq!(pongs, [0, 1, 2, 3], "{protocol} {scenario}");
        if scenario == "channels" {
            assert_eq!(run.figure("/results/channels/subscriptions"), 12.0);
        } else {
            assert_eq!(run.figure("/results/accounting/verified"), 120.0, "{protocol} {scenario}");
        }
    }
}

/// The second opinion of `--validate` reads both formats too.
#[test]
fn validators_read_centrifuge_pushes() {
    for protocol in [JSON, PROTOBUF] {
        let options = ["--clients", "2", "--rate", "100", "--validate", "1"];
        let (run, _) = centrifuge(protocol, Fault::Pairs, "fanout", &options);
        run.expect_pass();
        assert_eq!(run.figure("/results/accounting/validated"), 30.0, "{protocol}");
    }
}

#[test]
fn lost_centrifuge_push_is_found() {
    for (protocol, scenario, options) in [
        (JSON, "fanout", &FANOUT[..]),
        (JSON, "chat", &["--clients", "4", "--rate", "25"][..]),
        (PROTOBUF, "fanout", &FANOUT[..]),
    ] {
        let (run, _) = centrifuge(protocol, Fault::LosesMessage, scenario, options);
        assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{protocol} {scenario}: {}", run.output());
    }
}

#[test]
fn push_of_a_channel_without_subscription_is_found() {
    for protocol in [JSON, PROTOBUF] {
        let (run, _) = centrifuge(protocol, Fault::WrongChannel, "channels", &CHANNELS);
        assert_eq!(run.code, Some(1), "{protocol}: {}", run.output());
        assert!(run.figure("/results/accounting/corrupt") > 0.0);
        assert_eq!(run.figure("/results/accounting/lost"), 0.0);
    }
}

/// To any command; a publication is refused only after the load has begun.
#[test]
fn error_reply_is_a_refusal() {
    for (protocol, code) in [(JSON, r#""code":103"#), (PROTOBUF, "error 103: ")] {
        for command in ["connect", "subscribe", "publish"] {
            let (run, _) = centrifuge(protocol, Fault::Denies(command), "fanout", &FANOUT);
            assert_eq!(run.code, Some(5), "{command}: {}", run.output());
            assert!(run.stderr.contains(code) && run.stderr.contains("permission denied"), "{}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
    }
}

/// A server that sends a greeting, confirms subscriptions, and wraps each message in an envelope of one or more lines.
struct EnvelopeServer {
    /// The text between the header of the envelope and the message.
    separator: &'static str,
    /// Whether the last client does not get the sixth message.
    loses_message: bool,
    count: usize,
}

impl Service for EnvelopeServer {
    fn on_connect(&mut self, client: &mut Client) {
        client.write("INFO {}\r\n");
    }

    fn on_message(&mut self, clients: &mut [Client], from: usize, text: &str) {
        if let Some(channel) = text.strip_prefix("SUB ") {
            clients[from].channels.push(channel.to_owned());
            return clients[from].write("+OK\r\n");
        }
        let (head, payload) = text.strip_suffix("\r\n").unwrap().split_once("\r\n").unwrap();
        let (channel, len) = head.strip_prefix("PUB ").unwrap().split_once(' ').unwrap();
        assert_eq!(len.parse(), Ok(payload.len()));
        let envelope = format!("MSG {channel} {len}{}{payload}\r\n", self.separator);
        for client in clients.iter().filter(|client| client.channels.iter().any(|name| name == channel)) {
            if !(self.loses_message && (client.number, self.count) == (3, 5)) {
                client.write(&envelope);
            }
        }
        self.count += 1;
    }
}

fn run_enveloped(separator: &'static str, loses_message: bool, options: &[&str]) -> Run {
    let server = start(EnvelopeServer { separator, loses_message, count: 0 });
    let custom = ["--protocol", "custom", "--hello", "SUB {channel}", "--ready", "+OK", "--channel", "lobby"];
    let publish = ["--publish", "PUB {channel} 64\r\n{record}\r\n"];
    run("fanout", server, &[&FANOUT[..], &custom, &publish, options].concat())
}

#[test]
fn messages_in_envelopes_are_verified() {
    for (separator, options) in [("\r\n", &[][..]), (" data=", &["--marker", "data="][..])] {
        let run = run_enveloped(separator, false, options);
        assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 120.0);
        let run = run_enveloped(separator, true, options);
        assert_eq!((run.verdict(), run.code), ("FAIL: 1 lost", Some(1)), "{}", run.output());
    }
}

/// The text after the wrong marker is not a record.
#[test]
fn wrong_marker_is_a_protocol_error() {
    let run = run_enveloped(" data=", false, &[&["--marker", "MSG "], &SHORT_DRAIN[..]].concat());
    assert_eq!(run.code, Some(6), "{}", run.output());
    assert!(run.stdout.contains("speaks another protocol"), "{}", run.output());
}

/// A client receives nothing before it is ready, so the load must not begin earlier.
#[test]
fn client_without_its_ready_line_is_not_connected() {
    struct NeverReady;
    impl Service for NeverReady {
        fn on_message(&mut self, clients: &mut [Client], from: usize, _: &str) {
            clients[from].close(4000, "not subscribed");
        }
    }
    let run = run("fanout", start(NeverReady), &["--protocol", "custom", "--hello", "SUB x", "--ready", "+OK"]);
    assert_eq!(run.code, Some(5), "{}", run.output());
    assert!(run.stderr.contains("closed with 4000 not subscribed instead of an answer"), "{}", run.stderr);
}
