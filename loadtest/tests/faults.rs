//! Does the generator find what a server does wrong? A small server plants one fault, the exit code and the verdict
//! must name it.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

type Peer = WebSocket<TcpStream>;

/// Receivers; the publisher comes first and receives too.
const CLIENTS: usize = 3;

/// The receiver that suffers, and from which message on.
const VICTIM: usize = CLIENTS;
const AT: usize = 5;

/// A message as `serve` passes it on: what to write to the victim, given what was held back before.
type Fault = fn(number: usize, text: &str, held: &mut Vec<String>, victim: &mut Peer);

fn write(peer: &mut Peer, text: String) {
    // The generator may have closed already.
    drop(peer.send(Message::text(text)));
}

/// Starts a server that passes every message on to everybody, and to the victim by way of `fault`.
fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut peers: Vec<Peer> = (0..=CLIENTS).map(|_| accept(listener.accept().unwrap().0).unwrap()).collect();
        let mut held = Vec::new();
        for number in 0.. {
            let Ok(Message::Text(text)) = peers[0].read() else { break };
            for (index, peer) in peers.iter_mut().enumerate() {
                if index == VICTIM {
                    fault(number, &text, &mut held, peer);
                } else {
                    write(peer, text.to_string());
                }
            }
        }
    });
    address
}

fn loadtest(scenario: &str, address: SocketAddr, options: &[&str]) -> Output {
    let common = ["--duration", "300ms", "--warmup", "0s", "--drain", "300ms", "--quiet", "--clients"];
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg(scenario)
        .args(["--url", &format!("ws://{address}/ws")])
        .args(common)
        .arg(CLIENTS.to_string())
        .args(options)
        .output()
        .unwrap()
}

/// Runs `fanout` against a server with `fault` and compares the exit code and the first line.
fn expect(fault: Fault, code: i32, verdict: &str) {
    let output = loadtest("fanout", serve(fault), &["--rate", "100"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().next(), Some(verdict), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn faultless_server_passes() {
    expect(|_, text, _, victim| write(victim, text.to_owned()), 0, "PASS");
}

#[test]
fn lost_message_is_found() {
    expect(
        |number, text, _, victim| {
            if number != AT {
                write(victim, text.to_owned());
            }
        },
        1,
        "FAIL: 1 lost",
    );
}

/// Nothing comes after it, so no gap shows: only the accounts do.
#[test]
fn lost_end_is_found() {
    expect(
        |number, text, _, victim| {
            if number < 28 {
                write(victim, text.to_owned());
            }
        },
        1,
        "FAIL: 2 lost",
    );
}

#[test]
fn duplicated_message_is_found() {
    expect(
        |number, text, _, victim| {
            write(victim, text.to_owned());
            if number == AT {
                write(victim, text.to_owned());
            }
        },
        1,
        "FAIL: 1 duplicated",
    );
}

#[test]
fn reordered_message_is_found() {
    expect(
        |number, text, held, victim| {
            if number == AT {
                held.push(text.to_owned());
                return;
            }
            write(victim, text.to_owned());
            held.drain(..).for_each(|text| write(victim, text));
        },
        1,
        "FAIL: 1 reordered",
    );
}

#[test]
fn corrupt_message_is_found() {
    expect(
        |number, text, _, victim| {
            let text = if number == AT { text.replacen('k', "K", 1) } else { text.to_owned() };
            write(victim, text);
        },
        1,
        "FAIL: 1 lost, 1 corrupt",
    );
}

#[test]
fn joined_messages_are_found() {
    expect(
        |number, text, held, victim| {
            if number == AT {
                held.push(text.to_owned());
                return;
            }
            write(victim, held.drain(..).collect::<String>() + text);
        },
        1,
        "FAIL: 2 lost, 1 joined",
    );
}

/// Joined as the chat protocol wants it, with a newline, is no fault.
#[test]
fn coalesced_messages_pass() {
    expect(
        |number, text, held, victim| {
            held.push(text.to_owned());
            if number % 3 == 2 {
                write(victim, std::mem::take(held).join("\n"));
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
                write(victim, text[..30].to_owned());
                write(victim, text[30..].to_owned());
            } else {
                write(victim, text.to_owned());
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
                drop(victim.close(Some(CloseFrame { code: 1013.into(), reason: "busy".into() })));
            } else {
                write(victim, text.to_owned());
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
                drop(victim.get_mut().shutdown(std::net::Shutdown::Both));
            } else {
                write(victim, text.to_owned());
            }
        },
        1,
        "FAIL: 1 closed with 1006 (without a close frame)",
    );
}

#[test]
fn closed_loop_passes_too() {
    let server = serve(|_, text, _, victim| write(victim, text.to_owned()));
    let output = loadtest("saturate", server, &["--window", "4"]);
    assert!(output.stdout.starts_with(b"PASS\n"), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A receiver that stops reading may be closed for it: that is a finding, not a fault.
#[test]
fn end_of_a_stalled_receiver_is_told_apart() {
    // 30 messages in the calm phase; the victim, as the last receiver, stalls after them.
    let server = serve(|number, text, _, victim| {
        if number < 40 {
            write(victim, text.to_owned());
        } else if number == 40 {
            drop(victim.close(Some(CloseFrame { code: 3008.into(), reason: "slow".into() })));
            drop(victim.get_mut().shutdown(std::net::Shutdown::Write));
        }
    });
    let output = loadtest("slow", server, &["--rate", "100", "--size", "64", "--slow-share", "0.34"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("PASS\n"), "{stdout}");
    assert!(stdout.contains("1 of 1 stalled, after 0."), "{stdout}");
    assert!(stdout.contains("1 with 3008 slow"), "{stdout}");
}

/// A line that is no record at all means that the server is not a chat server.
#[test]
fn other_protocol_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut peers: Vec<Peer> = (0..=CLIENTS).map(|_| accept(listener.accept().unwrap().0).unwrap()).collect();
        peers.iter_mut().for_each(|peer| write(peer, "{\"hello\":1}".to_owned()));
        while peers[0].read().is_ok() {}
    });
    let output = loadtest("fanout", address, &[]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: the server speaks another protocol"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn missing_server_is_one_line() {
    // A port that was just free and is bound by nobody.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = loadtest("fanout", address, &[]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("is the server running there?"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn refused_handshake_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        }
    });
    let output = loadtest("fanout", address, &[]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("503 Service Unavailable"), "{stderr}");
}

#[test]
fn bad_usage_is_2() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let output = loadtest("fanout", nowhere, &["--size", "10"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("choose 41 to"));
    let output = loadtest("fanout", nowhere, &["--clients", "1000000", "--source-addresses", "254"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn json_holds_the_figures_and_the_buckets() {
    let path = std::env::temp_dir().join(format!("loadtest-{}.json", std::process::id()));
    let server = serve(|_, text, _, victim| write(victim, text.to_owned()));
    let output = loadtest("fanout", server, &["--rate", "100", "--json", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_reader(std::fs::File::open(&path).unwrap()).unwrap();
    drop(std::fs::remove_file(&path));
    assert_eq!(json["verdict"]["line"], "PASS");
    assert_eq!(json["results"]["accounting"]["verified"], 30 * (CLIENTS as u64 + 1));
    let buckets = json["results"]["phases"][0]["latency"]["buckets"].as_array().unwrap();
    let sum: u64 = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert_eq!(sum, 30 * (CLIENTS as u64 + 1));
}
