//! Does the generator speak TLS? A front that ends it stands before a server that is right, and before one that is not.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use support::server::{faithful, serve};
use support::{Run, run};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Starts a front that ends TLS of one version, and passes on to `server`.
fn front(server: SocketAddr, version: &'static SupportedProtocolVersion) -> SocketAddr {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let settings = settings.with_no_client_auth().with_single_cert(vec![identity.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever leaves, leaves.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    told.recv().unwrap()
}

fn run_encrypted(scenario: &str, front: SocketAddr, options: &[&str]) -> Run {
    let url = format!("wss://{front}/ws");
    run(scenario, front, &[&["--url", url.as_str(), "--source-addresses", "1"], options].concat())
}

/// With the second opinion, and with messages that need several records.
#[test]
fn encrypted_server_is_loaded_and_every_delivery_verified() {
    for version in [&TLS12, &TLS13] {
        let front = front(faithful(), version);
        let options = ["--clients", "5", "--rate", "50", "--validate", "2"];
        let run = run_encrypted("fanout", front, &[&options[..], &["--size", "40000"]].concat());
        assert_eq!(run.expect_pass().figure("/results/accounting/validated"), 30.0, "{}", run.words());
        run_encrypted("chat", front, &["--clients", "4", "--rate", "25", "--processes", "2"]).expect_pass();
    }
}

/// Being encrypted hides nothing: nobody gets the sixth message.
#[test]
fn what_an_encrypted_server_loses_is_found() {
    let server = serve(|number, text, member| {
        if number != 5 {
            member.write(text);
        }
    });
    let run = run_encrypted("fanout", front(server, &TLS13), &["--clients", "3", "--rate", "100"]);
    assert_eq!(run.code, Some(1), "{}", run.words());
    assert!(run.verdict().contains("lost"), "{}", run.verdict());
}

/// A server that speaks no TLS is not one that is slow.
#[test]
fn plain_server_behind_an_encrypted_address_is_said_clearly() {
    let run = run_encrypted("fanout", faithful(), &["--clients", "3"]);
    assert_eq!(run.code, Some(5), "{}", run.words());
    assert!(run.stderr.contains("refused connection 0: "), "{}", run.stderr);
}
