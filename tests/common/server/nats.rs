//! A NATS server: the real one, which `tests/venv` installs, on a free port.

use super::within;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use throng::config::{Config, EngineKind};
use throng::engine::nats::{check, init, link::Link, stream, subject::Subjects};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A NATS server with JetStream, which ends with the test.
pub(crate) struct NatsServer {
    child: Child,
    folder: TempDir,
    pub(crate) url: String,
    /// Lines of its log that say that a user may not do something.
    refused: Arc<Mutex<Vec<String>>>,
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
        Self::run(tempfile::tempdir().expect("there is room"), &[]).await
    }

    /// Starts one without streams, with the users and permissions of `deploy/cluster`.
    pub(crate) async fn with_permissions() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let permissions = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cluster/authorization.conf");
        std::fs::copy(permissions, folder.path().join("authorization.conf")).expect("it is there");
        let config = folder.path().join("nats.conf");
        std::fs::write(&config, "include ./authorization.conf\n").expect("there is room");
        for user in ["hub", "init"] {
            std::fs::write(folder.path().join(user), format!("{user}:secret-of-{user}\n")).expect("there is room");
        }
        let config = config.to_str().expect("it is text").to_owned();
        Self::run(folder, &["-c".to_owned(), config]).await
    }

    async fn run(folder: TempDir, more: &[String]) -> Self {
        let store = folder.path().join("store");
        let arguments = ["-js", "-sd", store.to_str().expect("it is text")].map(str::to_owned);
        let (child, url, refused) = run(&[&arguments[..], more].concat()).await;
        Self { child, folder, url, refused }
    }

    /// Returns the file with the password of a user of [`NatsServer::with_permissions`].
    pub(crate) fn credentials(&self, user: &str) -> PathBuf {
        self.folder.path().join(user)
    }

    /// Returns what users were refused since the last call.
    pub(crate) fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut *self.refused.lock().expect("nobody panics with it"))
    }

    /// Starts one without JetStream, and returns its address with it.
    pub(crate) async fn without_jetstream() -> (Child, String) {
        let (child, url, _) = run(&[]).await;
        (child, url)
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
async fn run(arguments: &[String]) -> (Child, String, Arc<Mutex<Vec<String>>>) {
    let mut child = Command::new(program().await)
        .args(["-a", "127.0.0.1", "-p", "-1"])
        .args(arguments)
        .env("THRONG_HUB_PASSWORD", "secret-of-hub")
        .env("THRONG_INIT_PASSWORD", "secret-of-init")
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
    let refused = Arc::<Mutex<Vec<String>>>::default();
    let found = Arc::clone(&refused);
    tokio::spawn(async move {
        while let Ok(Some(line)) = log.next_line().await {
            if line.contains("Violation") {
                found.lock().expect("nobody panics with it").push(line);
            }
        }
    });
    (child, format!("nats://{}", addr.unwrap_or_default()), refused)
}

/// Returns the program, which is installed first where that is needed.
pub(crate) async fn program() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let venv = within(Command::new(format!("{root}/tests/venv")).output()).await.expect("tests/venv runs");
    assert!(venv.status.success(), "{}", String::from_utf8_lossy(&venv.stderr));
    let folder = String::from_utf8(venv.stdout).expect("it is text");
    format!("{}/nats-server", folder.trim())
}
