//! Keys that are fetched: from one address, once at a time, bounded in size and time, and replaced while the hub runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::process::{Process, throng};
use crate::server::{Client, FrozenClock, TestServer, exchange, start, within};
use crate::tokens::{claims, encode, forge, public_key, sign};
use parking_lot::Mutex;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use throng::config::TokenAlgorithm;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An issuer: serves what a test tells it to, and counts.
struct Issuer {
    addr: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    requests: watch::Receiver<Vec<String>>,
}

impl Issuer {
    async fn start(answer: Vec<u8>) -> Self {
        Self::start_with(answer, |stream| async { Some(stream) }).await
    }

    /// `accept` may encrypt a connection, or drop it.
    async fn start_with<S, F>(
        answer: Vec<u8>,
        accept: impl Fn(tokio::net::TcpStream) -> F + Send + Sync + Clone + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Option<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let (count, requests) = watch::channel(Vec::new());
        let (serve, count) = (Arc::clone(&answer), Arc::new(count));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (serve, count, accept) = (Arc::clone(&serve), Arc::clone(&count), accept.clone());
                tokio::spawn(async move {
                    let Some(mut stream) = accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    count.send_modify(|heads| heads.push(head.lines().next().unwrap().to_owned()));
                    let answer = serve.lock().clone();
                    // The hub may end a response that is too long.
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.flush().await;
                    // Without an answer the connection stays open, as that of an issuer that hangs.
                    if answer.is_empty() {
                        let _ = stream.read_buf(&mut Vec::new()).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { addr, answer, requests }
    }

    fn answers(&self, answer: Vec<u8>) {
        *self.answer.lock() = answer;
    }

    /// Starts a server that fetches its keys here.
    async fn hub(&self) -> TestServer {
        let url = format!("http://{}/keys", self.addr);
        start(|config| {
            config.tokens.jwks_url = Some(url.parse().unwrap());
            config.tokens.token_required = true;
        })
        .await
    }

    /// Waits until so many requests have come.
    async fn requested(&self, count: usize) {
        within(self.requests.clone().wait_for(|heads| heads.len() >= count)).await.unwrap();
    }

    fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }
}

fn response(status: &str, lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Returns a key set with the tests' key for ES256 under an ID.
fn key_set(kid: &str) -> Vec<u8> {
    let pem = public_key(TokenAlgorithm::Es256).unwrap();
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let (x, y) = der[der.len() - 64..].split_at(32);
    let key = json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": encode(x), "y": encode(y), "use": "sig" });
    response("200 OK", "Content-Type: application/json\r\n", &json!({ "keys": [key] }).to_string())
}

fn token_of(kid: &str) -> String {
    let header: Value = json!({ "alg": "ES256", "kid": kid });
    forge(&header, &claims("42"), |message| sign(TokenAlgorithm::Es256, message))
}

/// Asks for a WebSocket with a token; returns the status and the body of a refusal.
async fn enter(addr: SocketAddr, token: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "GET /ws?token={token} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    within(stream.write_all(request.as_bytes())).await.unwrap();
    let mut head = [0; 12];
    within(stream.read_exact(&mut head)).await.unwrap();
    let status = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
    let mut rest = Vec::new();
    if status != 101 {
        within(stream.read_to_end(&mut rest)).await.unwrap();
    }
    (status, String::from_utf8(rest).unwrap())
}

/// Enters again and again while the hub says that the key is being fetched.
async fn enter_patiently(addr: SocketAddr, token: &str) -> (u16, String) {
    within(async {
        loop {
            let answer = enter(addr, token).await;
            if answer.0 != 503 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn token_of_a_fetched_key_is_valid_and_others_are_not() {
    let issuer = Issuer::start(key_set("one")).await;
    let server = issuer.hub().await;
    assert_eq!(enter_patiently(server.addr, &token_of("one")).await.0, 101);
    let (status, text) = enter(server.addr, &token_of("two")).await;
    assert!(status == 401 && text.contains("no key has the ID (kid) that the token names"), "{status} {text}");
    let forged =
        forge(&json!({ "alg": "HS256", "kid": "one" }), &claims("42"), |message| sign(TokenAlgorithm::Hs256, message));
    let (status, text) = enter(server.addr, &forged).await;
    assert!(status == 401 && text.contains("another algorithm"), "{status} {text}");
    // What a token names is never asked for.
    let lure = Issuer::start(key_set("evil")).await;
    let url = format!("http://{}/evil", lure.addr);
    let header = json!({ "alg": "ES256", "kid": "evil", "jku": url, "x5u": url });
    let lured = forge(&header, &claims("42"), |message| sign(TokenAlgorithm::Es256, message));
    assert_eq!(enter(server.addr, &lured).await.0, 401);
    assert_eq!((lure.requests().len(), issuer.requests()), (0, vec!["GET /keys HTTP/1.1".to_owned()]));
}

/// A key that the issuer has just begun to use is fetched when a token names it: once, however many clients come, and
/// each hears when to come back.
#[tokio::test]
async fn new_key_is_fetched_once_for_a_crowd_of_clients() {
    let issuer = Issuer::start(key_set("old")).await;
    let server = issuer.hub().await;
    assert_eq!(enter_patiently(server.addr, &token_of("old")).await.0, 101);
    issuer.answers(key_set("new"));
    assert_eq!(enter(server.addr, &token_of("new")).await.0, 401, "not within ten seconds of the last fetch");
    let clock = FrozenClock::new();
    clock.pass(Duration::from_secs(10)).await;
    for _ in 0..20 {
        let (status, text) = enter(server.addr, &token_of("new")).await;
        assert!(status == 101 || status == 503 && text.to_lowercase().contains("retry-after: "), "{status} {text}");
    }
    assert_eq!(enter_patiently(server.addr, &token_of("new")).await.0, 101);
    assert_eq!(issuer.requests().len(), 2);
    for _ in 0..20 {
        assert_eq!(enter(server.addr, &token_of("invented")).await.0, 401);
    }
    assert_eq!(issuer.requests().len(), 2, "invented names cost the issuer nothing");
    assert_eq!(enter(server.addr, &token_of("old")).await.0, 401, "the issuer has taken it back");
}

/// An issuer that answers wrongly gives no keys, and takes none away. docs/threats.md, row 37.
#[tokio::test]
async fn redirects_errors_and_sets_that_are_too_large_are_not_taken() {
    let elsewhere = Issuer::start(key_set("one")).await;
    let location = format!("Location: http://{}/keys\r\n", elsewhere.addr);
    let set = String::from_utf8(key_set("one")).unwrap();
    let (_, body) = set.split_once("\r\n\r\n").unwrap();
    let issuer = Issuer::start(response("302 Found", &location, body)).await;
    let server = issuer.hub().await;
    issuer.requested(1).await;
    let clock = FrozenClock::new();
    let padding = " ".repeat(256 * 1024);
    let answers = [
        response("301 Moved Permanently", &location, body),
        response("307 Temporary Redirect", &location, body),
        response("404 Not Found", "", body),
        response("500 Internal Server Error", "", body),
        response("200 OK", "", &format!("{padding}{body}")),
        format!("HTTP/1.1 200 OK\r\n\r\n{padding}{body}").into_bytes(),
        response("200 OK", "", &body[1..]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let text = String::from_utf8_lossy(&answer[..answer.len().min(30)]).into_owned();
        issuer.answers(answer);
        clock.pass_until(issuer.requested(number + 2)).await;
        assert_eq!(enter(server.addr, &token_of("one")).await.0, 503, "no key yet: {text}");
    }
    issuer.answers(key_set("one"));
    clock.pass_until(issuer.requested(11)).await;
    assert_eq!(clock.pass_until(enter_patiently(server.addr, &token_of("one"))).await.0, 101);
    issuer.answers(response("500 Internal Server Error", "", ""));
    // The next fetch would come after ten minutes, if no token asked for one.
    let before = issuer.requests().len();
    clock.pass(Duration::from_secs(10)).await;
    assert_eq!(enter(server.addr, &token_of("two")).await.0, 503, "it may be there in a moment");
    clock.pass_until(issuer.requested(before + 1)).await;
    assert_eq!(enter(server.addr, &token_of("one")).await.0, 101, "the keys stay");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// An issuer that hangs holds up its own request only, for five seconds.
#[tokio::test]
async fn slow_issuer_is_given_up_and_asked_again() {
    let issuer = Issuer::start(Vec::new()).await;
    let server = issuer.hub().await;
    issuer.requested(1).await;
    let clock = FrozenClock::new();
    clock.pass(Duration::from_millis(4_900)).await;
    assert_eq!(enter(server.addr, &token_of("one")).await.0, 503);
    assert_eq!(issuer.requests().len(), 1, "one at a time");
    issuer.answers(key_set("one"));
    clock.pass_until(issuer.requested(2)).await;
    assert_eq!(clock.pass_until(enter_patiently(server.addr, &token_of("one"))).await.0, 101);
}

/// https is for issuers elsewhere: their certificate has to be one that the system trusts, for their very name.
#[tokio::test]
async fn encrypted_issuer_is_asked_if_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (trusted, other) = (folder.path().join("trusted.pem"), folder.path().join("other.pem"));
    std::fs::write(&trusted, certified.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let issuer = Issuer::start_with(key_set("one"), move |stream| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(stream).await.ok() }
    })
    .await;
    for (roots, name, is_trusted) in
        [(&trusted, "localhost", true), (&other, "localhost", false), (&trusted, "127.0.0.1", false)]
    {
        let url = format!("https://{name}:{}/keys", issuer.addr.port());
        let mut command = throng(&["--addr", "127.0.0.1:0", "--jwks-url", &url]);
        let (process, mut log) = Process::spawn_logging(command.env("SSL_CERT_FILE", roots)).await;
        let line = within(async {
            loop {
                let line = log.next_line().await.unwrap().expect("the log goes on");
                if line.contains("--jwks-url") {
                    return line;
                }
            }
        })
        .await;
        assert_eq!(line.contains("the keys of tokens are read"), is_trusted, "{roots:?} {name}: {line}");
        if is_trusted {
            Client::connect(process.addr, &format!("/ws?token={}", token_of("one"))).await;
        } else {
            assert!(line.contains("certificate"), "{line}");
            let answer = exchange(process.addr, b"GET /ws?token=x HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(answer.status, 400);
        }
    }
}
