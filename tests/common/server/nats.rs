//! A NATS server: the real one, which `tests/venv` installs, on a free port.

use super::within;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use throng::config::{Config, EngineKind};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A NATS server that ends with the test.
pub(crate) struct NatsServer {
    _child: Child,
    pub(crate) url: String,
}

impl NatsServer {
    /// Starts one without streams.
    pub(crate) async fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let venv = within(Command::new(format!("{root}/tests/venv")).output()).await.expect("tests/venv runs");
        let folder = String::from_utf8(venv.stdout).expect("it is text");
        let mut child = Command::new(format!("{}/nats-server", folder.trim()))
            .args(["-a", "127.0.0.1", "-p", "-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("tests/venv installs nats-server");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let addr = within(async {
            loop {
                let line = log.next_line().await.expect("it is text").expect("the server starts");
                if let Some((_, addr)) = line.split_once("Listening for client connections on ") {
                    return addr.trim().to_owned();
                }
            }
        })
        .await;
        // It must not wait for a reader of its log.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { _child: child, url: format!("nats://{addr}") }
    }

    /// Makes a configuration that of a hub of this cluster.
    pub(crate) fn join(&self, config: &mut Config, name: &str) {
        let cluster = &mut config.cluster;
        cluster.engine = EngineKind::Nats;
        cluster.nats_servers = vec![self.url.parse().expect("it is an address")];
        cluster.hub_name = Some(name.to_owned());
    }

    /// Returns the arguments of a process that is a hub of this cluster.
    pub(crate) fn arguments<'a>(&'a self, name: &'a str) -> [&'a str; 6] {
        ["--engine", "nats", "--nats-servers", &self.url, "--hub-name", name]
    }
}
