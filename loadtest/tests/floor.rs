//! The floors deliver every message to every client, in order. A floor that drops or reorders would be too cheap.
//!
//! The clients are tungstenite's. The program is the example `floor` of the same profile: `cargo test -p loadtest`
//! builds it, a selection of tests does not.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

type Client = WebSocket<TcpStream>;

/// The commands of the modes that deliver.
const DELIVERING: [&[&str]; 3] = [&["write"], &["writev", "4"], &["batch"]];

fn program() -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join("floor");
    assert!(path.exists(), "{} is missing: cargo build -p loadtest --example floor", path.display());
    Command::new(path)
}

/// A running floor, killed when dropped.
struct Floor {
    child: Child,
    address: SocketAddr,
}

impl Floor {
    fn start(mode: &[&str]) -> Self {
        let mut command = program();
        command.args(mode).arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    fn connect(&self) -> Client {
        self.handshake(TcpStream::connect(self.address).unwrap())
    }

    fn connect_with_receive_buffer(&self, bytes: usize) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&self.address.into()).unwrap();
        self.handshake(socket.into())
    }

    fn handshake(&self, stream: TcpStream) -> Client {
        client(format!("ws://{}/ws", self.address), stream).unwrap().0
    }

    /// Stops the process and returns the summary that it prints.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut summary = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut summary).unwrap();
        assert!(self.child.wait().unwrap().success());
        summary
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Both fail if `stop` was called.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(len: usize) -> String {
    format!("{len}:").chars().cycle().take(len).collect()
}

/// Returns a masked text frame.
fn masked(text: &str) -> Vec<u8> {
    let key = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend(key);
    frame.extend(text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Reads a raw stream to the end of an HTTP header.
fn header(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    String::from_utf8(bytes).unwrap()
}

/// The sizes are at the bounds of the three forms of a frame's length; nine messages are no multiple of K.
#[test]
fn every_client_receives_every_message_in_order() {
    for mode in DELIVERING {
        let floor = Floor::start(mode);
        let mut clients: Vec<Client> = (0..3).map(|_| floor.connect()).collect();
        let lengths = [1, 2, 124, 125, 126, 127, 1_000, 65_535, 65_536];
        for len in lengths {
            clients[0].write(Message::text(text(len))).unwrap();
        }
        clients[0].flush().unwrap();
        for client in &mut clients {
            for len in lengths {
                assert_eq!(client.read().unwrap(), Message::text(text(len)), "{mode:?}");
            }
        }
        let summary = floor.stop();
        assert!(summary.starts_with("3 handshakes, 9 messages, "), "{summary}");
        assert!(summary.ends_with(" 0 clients closed as full or dead, 0 refused\n"), "{summary}");
    }
}

#[test]
fn any_client_may_publish_and_binary_stays_binary() {
    for mode in DELIVERING {
        let floor = Floor::start(mode);
        let mut clients = [floor.connect(), floor.connect()];
        for message in [Message::text("one"), Message::binary(vec![0, 255])] {
            for publisher in 0..2 {
                clients[publisher].send(message.clone()).unwrap();
                for client in &mut clients {
                    assert_eq!(client.read().unwrap(), message);
                }
            }
        }
    }
}

/// Each write ends inside a frame, at every position in turn.
#[test]
fn message_in_two_segments_is_one_message() {
    for mode in DELIVERING {
        let floor = Floor::start(mode);
        let mut client = floor.connect();
        client.get_mut().set_nodelay(true).unwrap();
        let frame = masked(&text(130));
        let mut rest = &frame[..];
        for cut in 1..frame.len() {
            client.get_mut().write_all(&[rest, &frame[..cut]].concat()).unwrap();
            assert_eq!(client.read().unwrap(), Message::text(text(130)), "{mode:?}, cut at {cut}");
            rest = &frame[cut..];
        }
        client.get_mut().write_all(rest).unwrap();
        assert_eq!(client.read().unwrap(), Message::text(text(130)));
    }
}

/// K messages that are read at once take one system call per client.
#[test]
fn burst_is_written_in_one_call() {
    for (mode, sends) in [(DELIVERING[0], 8), (DELIVERING[1], 2), (DELIVERING[2], 1)] {
        let floor = Floor::start(mode);
        let mut client = floor.connect();
        let burst = masked(&text(200)).repeat(8);
        client.get_mut().write_all(&burst).unwrap();
        (0..8).for_each(|_| assert_eq!(client.read().unwrap(), Message::text(text(200))));
        let summary = floor.stop();
        assert!(summary.starts_with(&format!("1 handshakes, 8 messages, {sends} sends, ")), "{mode:?}: {summary}");
    }
}

/// The kernel buffers up to 4 MiB for a client that does not read; 9 MB are sent.
#[test]
fn only_a_client_with_a_full_socket_is_closed() {
    for mode in DELIVERING {
        let floor = Floor::start(mode);
        let (mut publisher, mut slow) = (floor.connect(), floor.connect_with_receive_buffer(4096));
        for _ in 0..150 {
            publisher.send(Message::text(text(60_000))).unwrap();
            assert_eq!(publisher.read().unwrap(), Message::text(text(60_000)), "{mode:?}");
        }
        let received = std::iter::from_fn(|| slow.read().ok()).count();
        assert!((1..150).contains(&received), "{mode:?}: {received}");
        let summary = floor.stop();
        assert!(summary.ends_with(" 1 clients closed as full or dead, 0 refused\n"), "{mode:?}: {summary}");
    }
}

#[test]
fn ping_is_answered() {
    let floor = Floor::start(&["batch"]);
    let mut client = floor.connect();
    client.send(Message::Ping("here?".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("here?".into()));
}

/// Frames that a floor does not support must not be forwarded.
#[test]
fn unsupported_frames_are_refused() {
    for bytes in [&[0x01, 0x81, 0, 0, 0, 0, b'x'][..], &[0x81, 0x01, b'x'], &[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1]] {
        let floor = Floor::start(&["write"]);
        let mut client = floor.connect();
        client.get_mut().write_all(bytes).unwrap();
        assert!(client.read().is_err(), "{bytes:?}");
        let summary = floor.stop();
        assert!(summary.ends_with(", 1 refused\n"), "{summary}");
    }
}

/// The request comes in two parts, and data after the response is ignored.
#[test]
fn handshake_mode_responds_and_keeps_the_connection() {
    let floor = Floor::start(&["handshake"]);
    let mut clients: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(floor.address).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbX").unwrap();
    }
    for client in &mut clients {
        client.write_all(b"BsZSBub25jZQ==\r\n\r\n").unwrap();
        let answer = header(client);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        client.write_all(&masked(&text(200))).unwrap();
    }
    assert_eq!(floor.stop(), "2 handshakes, 0 messages, 0 sends, 0 clients closed as full or dead, 0 refused\n");
}

#[test]
fn accept_mode_prints_a_slope() {
    let output = program().args(["accept", "100"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout.lines().count(), 4, "{stdout}");
    assert!(stdout.lines().last().unwrap().starts_with("per connection: user "), "{stdout}");
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in [&[][..], &["write"], &["writev", "0", "127.0.0.1:0"], &["writev", "1025", "127.0.0.1:0"]] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stderr.starts_with(b"usage: floor "));
    }
}
