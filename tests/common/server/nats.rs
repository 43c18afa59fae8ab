//! A NATS server: the real one, which `tests/venv` installs, on a free port.

use super::within;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use tempfile::TempDir;
use throng::config::{Config, EngineKind};
use throng::engine::nats::{check, init, link::Link, stream, subject::Subjects};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Variable that names the program, where `tests/venv` does not install it.
const VARIABLE: &str = "NATS_SERVER";

/// A NATS server with JetStream, which ends with the test.
pub(crate) struct NatsServer {
    child: Child,
    _folder: TempDir,
    pub(crate) url: String,
}

impl NatsServer {
    /// Starts one with the streams of a cluster.
    pub(crate) async fn start() -> Self {
        let server = Self::without_streams().await;
        Box::pin(server.init()).await;
        server
    }

    /// Starts one without streams.
    pub(crate) async fn without_streams() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let arguments = ["-js", "-sd", folder.path().to_str().expect("it is text")].map(str::to_owned);
        let (child, url) = run(&arguments).await;
        Self { child, _folder: folder, url }
    }

    /// Starts one without JetStream, and returns its address with it.
    pub(crate) async fn without_jetstream() -> (Child, String) {
        run(&[]).await
    }

    /// Makes the streams.
    pub(crate) async fn init(&self) {
        let (link, config) = self.link().await;
        let found = within(check::examine(&link, &config.cluster, 1024)).await.expect("it has JetStream");
        within(init::init(&link, &config.cluster, &found)).await.expect("they are made");
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs").cast_signed();
        kill_process(Pid::from_raw(id).expect("it is one"), signal).expect("it runs");
    }

    /// Removes the streams with everything in them.
    pub(crate) async fn remove_streams(&self) {
        let (link, config) = self.link().await;
        let subjects = Subjects::new(&config.cluster.prefix);
        for partition in 0..config.cluster.partitions {
            within(stream::delete(&link, &subjects.stream(partition))).await.expect("it is there");
        }
    }

    async fn link(&self) -> (Link, Config) {
        let mut config = Config::default();
        self.join(&mut config, "tests");
        (within(Link::once(&config.cluster, "tests")).await.expect("it is there"), config)
    }

    /// Makes a configuration that of a hub of this cluster.
    pub(crate) fn join(&self, config: &mut Config, name: &str) {
        let cluster = &mut config.cluster;
        cluster.engine = EngineKind::Nats;
        cluster.nats_servers = vec![self.url.parse().expect("it is an address")];
        cluster.hub_name = Some(name.to_owned());
        (cluster.partitions, cluster.replicas, cluster.partition_bytes_max) = (2, 1, 16 << 20);
    }

    /// Returns the arguments of a process that is a hub of this cluster.
    pub(crate) fn arguments<'a>(&'a self, name: &'a str) -> [&'a str; 12] {
        [
            "--engine",
            "nats",
            "--nats-servers",
            &self.url,
            "--hub-name",
            name,
            "--partitions",
            "2",
            "--replicas",
            "1",
            "--partition-bytes-max",
            "16MiB",
        ]
    }
}

/// Starts the program on a free port.
async fn run(arguments: &[String]) -> (Child, String) {
    let mut child = Command::new(program().await)
        .args(["-a", "127.0.0.1", "-p", "-1"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tests/venv installs nats-server");
    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let (mut addr, mut is_ready) = (None, false);
    within(async {
        while addr.is_none() || !is_ready {
            let line = log.next_line().await.expect("it is text").expect("the server starts");
            if let Some((_, found)) = line.split_once("Listening for client connections on ") {
                addr = Some(found.trim().to_owned());
            }
            is_ready |= line.ends_with("Server is ready");
        }
    })
    .await;
    // It must not wait for a reader of its log.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (child, format!("nats://{}", addr.unwrap_or_default()))
}

async fn program() -> String {
    if let Ok(path) = std::env::var(VARIABLE) {
        return path;
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let venv = within(Command::new(format!("{root}/tests/venv")).output()).await.expect("tests/venv runs");
    let folder = String::from_utf8(venv.stdout).expect("it is text");
    format!("{}/nats-server", folder.trim())
}
