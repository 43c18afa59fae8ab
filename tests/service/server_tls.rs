//! TLS as clients and operators meet it: versions, bounds, certificates that change while messages flow.

use crate::server;
use crate::server::process::{Process, fails, logged, throng};
use crate::server::tls::{self, Identity};
use crate::server::{Client, FrozenClock, TestServer, frame, start, stream_with_buffer, within};
use futures_util::StreamExt;
use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use std::net::SocketAddr;
use std::time::Duration;
use throng::metrics::Refusal;
use throng::protocol::CloseReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

type Encrypted = Client<tls::Stream>;

async fn serve(identity: &Identity) -> TestServer {
    start(|config| identity.configure(config)).await
}

async fn join(identity: &Identity, addr: SocketAddr) -> Encrypted {
    Client::over(identity.connect(addr).await, "/ws").await
}

async fn refused(server: &TestServer, reason: Refusal) {
    within(async {
        while server.hub().metrics().refused(reason) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Both versions that are not broken, and the one protocol that follows them. docs/threats.md, row 36.
#[tokio::test]
async fn tls_1_2_and_1_3_carry_a_chat() {
    let identity = Identity::new();
    let server = serve(&identity).await;
    for version in [&TLS12, &TLS13] {
        let client = identity.client(&[version]);
        let stream = tls::connect(&client, server.addr).await.expect("it is offered");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut one = Client::over(stream, "/ws").await;
        let mut other = join(&identity, server.addr).await;
        one.send("encrypted").await;
        assert_eq!(other.line().await, "encrypted");
        // A clean end: a close frame, then the end of TLS, not a cut.
        assert_eq!(one.close(Some(1000)).await.map(|(code, _)| code), Some(1000));
        other.close(None).await;
        drop((one, other));
        server.vacated().await;
    }
}

/// A client hello of TLS 1.1, without the extension that could offer more.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    // No session; TLS_RSA_WITH_AES_128_CBC_SHA and TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; no compression.
    hello.extend([0, 0, 4, 0x00, 0x2f, 0xc0, 0x13, 1, 0]);
    // One extension: signature_algorithms with rsa_pss_rsae_sha256.
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 8, 4]);
    let len = u8::try_from(hello.len()).expect("it is short");
    [&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &hello].concat()
}

#[tokio::test]
async fn older_versions_are_refused_and_counted() {
    let identity = Identity::new();
    let server = serve(&identity).await;
    let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
    stream.write_all(&hello_of_tls_1_1()).await.expect("it reads");
    let mut alert = Vec::new();
    within(stream.read_to_end(&mut alert)).await.expect("it answers and ends");
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70), "protocol_version: {alert:?}");
    refused(&server, Refusal::Tls).await;
}

/// A common mistake; a browser shows the answer.
#[tokio::test]
async fn plain_http_at_an_encrypted_address_is_told_what_to_do() {
    let identity = Identity::new();
    let server = serve(&identity).await;
    let answer = server::get(server.addr, "/").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("use https:// or wss://"), "{}", answer.body);
    refused(&server, Refusal::Tls).await;
}

/// docs/threats.md, rows 2 and 36: no client can hold a handshake open.
#[tokio::test]
async fn handshake_that_does_not_come_or_does_not_go_on_is_cut_in_time() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.sockets.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    for begun in [&[][..], &[22, 3, 1], &hello_of_tls_1_1()[..20]] {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        // On a busy machine it may be over before this; reset or ended, but over.
        let _ = stream.write_all(begun).await;
        let _ = within(stream.read_to_end(&mut Vec::new())).await;
    }
    within(async {
        while server.hub().metrics().refused(Refusal::Timeout) < 3 || server.handshakes() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A TLS handshake is the most expensive step that an unknown client can cause: attempts per address are limited before
/// it, and a WebSocket in one of them does not count once more. docs/threats.md, rows 3 and 36.
#[tokio::test]
async fn address_that_shakes_hands_too_fast_is_refused_before_it_costs_anything() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.access.limits_exempt.clear();
        config.admission.handshake_rate_per_address_max = 1;
    })
    .await;
    // A slow machine may need more than a second for the handshakes.
    let _clock = FrozenClock::new();
    let mut clients = Vec::new();
    // A burst is four seconds of the rate.
    for _ in 0..4 {
        clients.push(join(&identity, server.addr).await);
    }
    let refused = tls::connect(&identity.client(rustls::ALL_VERSIONS), server.addr).await;
    assert!(refused.is_err(), "and not a byte of an answer");
    assert_eq!(server.hub().metrics().refused(Refusal::RateAddress), 1);
    clients[0].send("connections stay").await;
    assert_eq!(clients[3].line().await, "connections stay");
}

/// A second connection of the same client costs neither side a signature.
#[tokio::test]
async fn session_is_resumed_with_a_ticket() {
    let identity = Identity::new();
    let server = serve(&identity).await;
    for version in [&TLS12, &TLS13] {
        let client = identity.client(&[version]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = tls::connect(&client, server.addr).await.expect("it is offered");
            let mut client = Client::over(stream, "/ws").await;
            client.round_trip().await;
            assert_eq!(client.socket.get_ref().get_ref().1.handshake_kind(), Some(kind));
        }
    }
}

/// Records hold 16 KiB: what is longer, and what lies across an edge, must arrive in one piece.
#[tokio::test]
async fn messages_of_every_size_arrive_whole_in_both_directions() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        // While it sends two megabytes at once, it does not read its own messages.
        config.limits.outbox_bytes_max = 1 << 24;
    })
    .await;
    let mut one = join(&identity, server.addr).await;
    let mut other = join(&identity, server.addr).await;
    for len in [1, 125, 126, 16_380, 16_384, 16_385, 32_768, 65_535] {
        let line = "x".repeat(len);
        one.send(line.clone()).await;
        assert_eq!(other.line().await, line);
    }
    one.send_all((0..2_000).map(|number| format!("{number}:{}", "y".repeat(number)).into())).await;
    for number in 0..2_000 {
        assert_eq!(other.line().await.len(), format!("{number}:").len() + number);
    }
}

/// Bytes sent right after the request are decrypted with it, so the socket does not become readable for them.
#[tokio::test]
async fn frames_right_behind_the_request_are_not_lost() {
    let identity = Identity::new();
    let server = serve(&identity).await;
    let mut other = join(&identity, server.addr).await;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        tls::NAME
    );
    // In one record, of which HTTP takes the beginning; and in several.
    for sizes in [&[12_000][..], &[15_000, 15_000, 4]] {
        let mut stream = identity.connect(server.addr).await;
        let frames = sizes.iter().flat_map(|size| frame(0x81, &vec![b'a'; *size]));
        let glued: Vec<_> = request.bytes().chain(frames).collect();
        stream.write_all(&glued).await.expect("it reads");
        stream.flush().await.expect("it reads");
        let lines = other.lines(sizes.len()).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), sizes);
    }
}

/// Returns a client that reads nothing, and whose kernel takes little for it.
async fn stalled(identity: &Identity, addr: SocketAddr) -> Encrypted {
    let stream = stream_with_buffer(addr, 4096).await;
    Client::over(tls::over(&identity.client(rustls::ALL_VERSIONS), stream).await.expect("it is offered"), "/ws").await
}

/// The bound of an outbox in bytes holds with TLS. The client learns the reason, and its stream has no gap.
#[tokio::test]
async fn encrypted_client_that_lags_too_far_is_closed_and_no_other() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.sockets.send_buffer_bytes = 4096;
        config.limits.outbox_bytes_max = 200_000;
    })
    .await;
    let mut slow = stalled(&identity, server.addr).await;
    let mut sender = join(&identity, server.addr).await;
    let mut neighbour = join(&identity, server.addr).await;
    let mut sent = 0;
    while server.closes(CloseReason::SlowConsumer) == 0 {
        let line = format!("{sent}:{}", "x".repeat(50_000));
        sender.send(line.clone()).await;
        assert_eq!(sender.line().await, line);
        assert_eq!(neighbour.line().await, line);
        sent += 1;
    }
    assert!(sent > 4, "200,000 bytes may wait, and {sent} messages of 50,000 did not");
    let (lines, closed) = slow.rest().await;
    assert!(lines.len() < sent, "what was beyond the bound is not sent");
    for (index, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("{index}:")) && line.len() > 50_000, "a hole at {index}");
    }
    assert_eq!(closed, Some((4008, "slow consumer".to_owned())));
}

/// ... and by time, also of bytes that were encrypted for it already.
#[tokio::test]
async fn encrypted_client_that_takes_nothing_for_too_long_is_closed() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.sockets.send_buffer_bytes = 4096;
        config.limits.outbox_stall_max = Duration::from_millis(300);
    })
    .await;
    let mut slow = stalled(&identity, server.addr).await;
    let mut sender = join(&identity, server.addr).await;
    // A busy machine must not make the one slow that reads.
    let clock = FrozenClock::new();
    while server.closes(CloseReason::SlowConsumer) == 0 {
        sender.send("x".repeat(10_000)).await;
        assert_eq!(sender.line().await.len(), 10_000);
        clock.pass(Duration::from_millis(20)).await;
    }
    assert_eq!(slow.closed().await, Some((4008, "slow consumer".to_owned())));
}

/// A slow reader that comes back gets everything, in order, to the last byte that was kept for it.
#[tokio::test]
async fn encrypted_client_that_pauses_gets_everything_when_it_reads_on() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.sockets.send_buffer_bytes = 4096;
        config.limits.outbox_bytes_max = 1 << 24;
    })
    .await;
    let mut slow = stalled(&identity, server.addr).await;
    let mut sender = join(&identity, server.addr).await;
    for round in 0..20 {
        for number in 0..20 {
            sender.send(format!("{round}.{number}:{}", "x".repeat(number * 1_000))).await;
        }
        sender.round_trip().await;
        assert!(server.counted(|counts| counts.parks > round).await.parks > round, "it was full");
        for number in 0..20 {
            assert!(slow.line().await.starts_with(&format!("{round}.{number}:")));
        }
    }
}

/// The header of the PROXY protocol comes before TLS, as HAProxy's `send-proxy` sends it.
#[tokio::test]
async fn proxy_header_comes_before_the_handshake() {
    let identity = Identity::new();
    let server = start(|config| {
        identity.configure(config);
        config.addr = vec!["proxy+tls+127.0.0.1:0".parse().expect("it is one")];
        config.access.trusted_proxies = vec!["127.0.0.1/32".parse().expect("it is one")];
        config.access.limits_exempt.clear();
        config.admission.connections_per_address_max = 1;
    })
    .await;
    let connect = async |client: &str| {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        let header = format!("PROXY TCP4 {client} 192.0.2.1 4711 443\r\n");
        stream.write_all(header.as_bytes()).await.expect("it reads");
        tls::over(&identity.client(rustls::ALL_VERSIONS), stream).await.expect("it is offered")
    };
    let _first = Client::over(connect("198.51.100.1").await, "/ws").await;
    let _other = Client::over(connect("198.51.100.2").await, "/ws").await;
    let second = tokio_tungstenite::client_async("ws://throng.test/ws", connect("198.51.100.1").await).await;
    assert!(second.expect_err("one is all it may have").to_string().contains("429"));
}

/// Publishes and receives until told to stop, and counts the lines.
async fn talk(mut client: Encrypted, is_over: watch::Receiver<bool>, lines: watch::Sender<usize>) {
    while !*is_over.borrow() {
        let number = *lines.borrow();
        client.send(number.to_string()).await;
        assert_eq!(client.line().await, number.to_string(), "its own channel, in order");
        lines.send_replace(number + 1);
    }
    client.round_trip().await;
}

/// Waits until each client has published and received three more lines.
async fn all_talk(lines: &mut [watch::Receiver<usize>]) {
    for lines in lines {
        let wanted = *lines.borrow() + 3;
        within(lines.wait_for(|number| *number >= wanted)).await.expect("no connection was closed");
    }
}

/// Certificates are renewed every few weeks: not a connection and not a message may notice. docs/threats.md, row 36.
#[tokio::test]
async fn certificate_is_replaced_under_load_and_nobody_is_closed() {
    let mut identity = Identity::new();
    let files = [identity.chain(), identity.key()].map(|path| path.to_str().expect("it is text").to_owned());
    let arguments = ["--addr", "tls+127.0.0.1:0", "--tls-certificate", &files[0], "--tls-key", &files[1]];
    let (process, mut log) = Process::spawn_logging(&mut throng(&arguments)).await;
    assert!(process.first_line.contains("open https://127.0.0.1:"), "{}", process.first_line);
    let (over, is_over) = watch::channel(false);
    let old = identity.client(rustls::ALL_VERSIONS);
    let (mut talks, mut lines) = (tokio::task::JoinSet::new(), Vec::new());
    for number in 0..50 {
        let stream = tls::connect(&old, process.addr).await.expect("it is offered");
        let client = Client::over(stream, &format!("/ws?channel=of-{number}")).await;
        let (sender, said) = watch::channel(0);
        lines.push(said);
        talks.spawn(talk(client, is_over.clone(), sender));
    }
    for year in [4095, 4094, 4093] {
        identity.renew(year);
        process.signal(Signal::HUP);
        all_talk(&mut lines).await;
        logged(&mut log, &format!("is valid until {year}-12-31")).await;
        // A client that believes no other certificate gets in.
        join(&identity, process.addr).await.round_trip().await;
    }
    let foreign = Identity::new();
    let mistaken = tls::connect(&foreign.client(rustls::ALL_VERSIONS), process.addr).await;
    assert!(mistaken.is_err(), "the one before is not shown any more, and no other is");
    over.send(true).expect("they listen");
    while let Some(ended) = within(talks.join_next()).await {
        ended.expect("no connection was closed, nothing was lost");
    }
}

/// A reload that would lock all clients out changes nothing. docs/threats.md, row 36.
#[tokio::test]
async fn certificate_that_can_not_be_used_is_refused_and_the_old_one_stays() {
    let identity = Identity::new();
    let files = [identity.chain(), identity.key()].map(|path| path.to_str().expect("it is text").to_owned());
    let arguments = ["--addr", "tls+127.0.0.1:0", "--tls-certificate", &files[0], "--tls-key", &files[1]];
    let (process, mut log) = Process::spawn_logging(&mut throng(&arguments)).await;
    let (chain, key) = (std::fs::read(identity.chain()), std::fs::read(identity.key()));
    let mut other = Identity::new();
    other.renew(2001);
    let expired = [std::fs::read(other.chain()), std::fs::read(other.key())].map(|file| file.expect("it is there"));
    let [old_chain, old_key] = [chain, key].map(|file| file.expect("it is there"));
    for (chain, key, reason) in [
        (&expired[0], &old_key, "does not fit --tls-certificate"),
        (&expired[0], &expired[1], "is no longer valid, since 2001-12-31"),
        (&old_key, &old_key, "it contains no certificate"),
        (&old_chain, &old_chain, "it contains no private key; give PEM"),
        (&b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(), &old_key, "cannot be read"),
    ] {
        std::fs::write(identity.chain(), chain).expect("it is ours");
        std::fs::write(identity.key(), key).expect("it is ours");
        process.signal(Signal::HUP);
        let line = logged(&mut log, "reload:").await;
        assert!(line.contains("nothing is changed") && line.contains(reason), "{reason}: {line}");
        join(&identity, process.addr).await.round_trip().await;
    }
}

/// What cannot work is said before anything runs, with what to do.
#[tokio::test]
async fn hub_without_the_certificate_it_needs_does_not_start() {
    let identity = Identity::new();
    let files = [identity.chain(), identity.key()].map(|path| path.to_str().expect("it is text").to_owned());
    let encrypted = ["--addr", "tls+127.0.0.1:0"];
    let with = |chain, key| [&encrypted[..], &["--tls-certificate", chain, "--tls-key", key]].concat();
    for (arguments, code, said) in [
        (encrypted.to_vec(), 2, "the address tls+127.0.0.1:0 is encrypted, which needs --tls-certificate"),
        (["--tls-certificate", &files[0], "--tls-key", &files[1]].to_vec(), 2, "write --addr tls+HOST:PORT"),
        (with("/nowhere.pem", &files[1]), 1, "cannot use --tls-certificate /nowhere.pem: No such file"),
        (with(&files[0], "/nowhere.pem"), 1, "cannot use --tls-key /nowhere.pem: No such file"),
        (with(&files[0], &files[0]), 1, "it contains no private key; give PEM"),
    ] {
        let (ended, error) = fails(&arguments).await;
        assert!(ended == Some(code) && error.contains(said), "{ended:?} {error}");
        let checked = throng(&[&["check-config"], &arguments[..]].concat()).output().await.expect("the binary runs");
        assert_eq!(checked.status.code(), Some(2), "check-config sees it too");
        assert!(String::from_utf8_lossy(&checked.stderr).contains(said));
    }
}

/// A stop sends close frames over TLS too.
#[tokio::test]
async fn stop_ends_encrypted_connections_cleanly() {
    let identity = Identity::new();
    let mut server = serve(&identity).await;
    let mut client = join(&identity, server.addr).await;
    server.begin_stop();
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(1012));
    assert!(within(client.socket.next()).await.is_none());
    drop(client);
    server.stopped().await;
}
