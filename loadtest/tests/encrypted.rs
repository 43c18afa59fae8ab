//! Runs over TLS: a TLS proxy in front of a correct server, and in front of one that loses messages.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use support::server::{chat_server, correct_server};
use support::{Run, run};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Starts a proxy that terminates TLS of one version and forwards to `server`.
fn tls_proxy(server: SocketAddr, version: &'static SupportedProtocolVersion) -> SocketAddr {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let settings = settings.with_no_client_auth().with_single_cert(vec![identity.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let (address_sender, address) = sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address_sender.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Either side may close the connection at any time.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    address.recv().unwrap()
}

fn run_encrypted(scenario: &str, proxy: SocketAddr, options: &[&str]) -> Run {
    let url = format!("wss://{proxy}/ws");
    run(scenario, proxy, &[&["--url", url.as_str(), "--source-addresses", "1"], options].concat())
}

/// With validators, and with messages that need several TLS records.
#[test]
fn every_delivery_over_tls_is_verified() {
    for version in [&TLS12, &TLS13] {
        let proxy = tls_proxy(correct_server(), version);
        let options = ["--clients", "5", "--rate", "50", "--validate", "2"];
        let run = run_encrypted("fanout", proxy, &[&options[..], &["--size", "40000"]].concat());
        assert_eq!(run.expect_pass().figure("/results/accounting/validated"), 30.0, "{}", run.output());
        run_encrypted("chat", proxy, &["--clients", "4", "--rate", "25", "--processes", "2"]).expect_pass();
    }
}

/// No client gets the sixth message.
#[test]
fn message_lost_over_tls_is_found() {
    let server = chat_server(|number, text, client| {
        if number != 5 {
            client.write(text);
        }
    });
    let run = run_encrypted("fanout", tls_proxy(server, &TLS13), &["--clients", "3", "--rate", "100"]);
    assert_eq!(run.code, Some(1), "{}", run.output());
    assert!(run.verdict().contains("lost"), "{}", run.verdict());
}

/// A server that does not speak TLS refuses the connection; it is not slow.
#[test]
fn wss_url_of_a_server_without_tls_is_refused() {
    let run = run_encrypted("fanout", correct_server(), &["--clients", "3"]);
    assert_eq!(run.code, Some(5), "{}", run.output());
    assert!(run.stderr.contains("refused connection 0: "), "{}", run.stderr);
}
