//! Hubs of one cluster, as processes with addresses of their own that stay when they start again.

use crate::nats::Nats;
use crate::server::place::Place;
use crate::server::process::{Log, Process, throng};
use crate::server::{exchange, get, within};
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The key of backends and of operators.
pub(crate) const KEY: &str = "the-key-of-the-cluster";

/// What every hub here has: namespaces whose subscribers can recover, and limits that do not count one address. A
/// balancer has to see that a hub drains before that closes its first connection.
const COMMON: &str = r#"
[api]
api_keys = ["the-key-of-the-cluster"]
[access]
trusted_proxies = ["127.0.0.1"]
metrics = "public"
admin_keys = ["the-key-of-the-cluster"]
[admission]
connections_per_address_max = 100000
handshake_rate_per_address_max = 1000000
handshake_rate_max = 1000000
[limits]
message_rate_max = 100000
ping_interval = "10s"
[stopping]
lb_grace = "3s"
drain_time = "2s"
[default_namespace]
history_size = 1000
recovery = true
presence = true
history_ttl = "#;

/// A namespace whose clients are told of a gap by a line.
const SKIPPING: &str = "[[namespace]]\nname = \"skip\"\nslow_consumer = \"skip\"\n";

pub(crate) struct Hubs {
    pub(crate) hubs: Vec<Hub>,
    _folder: TempDir,
}

pub(crate) struct Hub {
    pub(crate) addr: SocketAddr,
    config: PathBuf,
    place: Place,
    process: Option<Process>,
    /// What was logged, which is read all the time, so that it never blocks the hub.
    log: Arc<Mutex<Vec<String>>>,
}

impl Hubs {
    /// Creates the streams, starts the hubs, and waits until they are ready. `cluster` has more settings of
    /// `[cluster]`.
    pub(crate) async fn start(places: &[Place], nats: &Nats, cluster: &str) -> Self {
        let mut hubs = Self::configure(places, nats, cluster);
        let created = hubs.cluster("init").await;
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        for hub in &mut hubs.hubs {
            hub.start().await;
        }
        for hub in &hubs.hubs {
            hub.ready().await;
        }
        hubs
    }

    /// Writes the files of hubs that do not run.
    pub(crate) fn configure(places: &[Place], nats: &Nats, cluster: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = |(index, place): (usize, &Place)| {
            let (addr, config) = (place.free_addr(), folder.path().join(format!("hub{index}.toml")));
            let replicas = nats.servers.len().min(3);
            // As long as streams keep it, where they keep it for less than an hour.
            let ttl = cluster.lines().find_map(|line| line.strip_prefix("history_age = ")).unwrap_or("\"1h\"");
            let text = format!(
                "addr = [\"{addr}\"]\nshards = 1\n{COMMON}{ttl}\n{SKIPPING}[cluster]\nengine = \"nats\"\n\
                 nats_servers = {}\nreplicas = {replicas}\n{cluster}\n",
                nats.urls()
            );
            std::fs::write(&config, text).unwrap();
            Hub { addr, config, place: place.clone(), process: None, log: Arc::default() }
        };
        Self { hubs: places.iter().enumerate().map(hub).collect(), _folder: folder }
    }

    /// Runs `throng cluster COMMAND` with the file of the first hub.
    pub(crate) async fn cluster(&self, command: &str) -> Output {
        let config = self.hubs[0].config.to_str().unwrap();
        within(throng(&["cluster", command, "--config", config]).output()).await.unwrap()
    }

    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.hubs.iter().map(|hub| hub.addr).collect()
    }
}

impl Hub {
    pub(crate) async fn start(&mut self) {
        let mut command = self.place.command(throng(&["--config", self.config.to_str().unwrap()]));
        let (process, log) = Process::spawn_logging(&mut command).await;
        self.process = Some(process);
        tokio::spawn(collect(log, Arc::clone(&self.log)));
    }

    /// Waits until a balancer would send it clients.
    pub(crate) async fn ready(&self) {
        within(async {
            while get(self.addr, "/health/ready").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// Ends it with a signal.
    pub(crate) async fn end(&mut self, signal: Signal) {
        let process = self.process.take().expect("it runs");
        process.signal(signal);
        process.ended().await;
    }

    /// Returns what it has logged that an operator should see.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).cloned().collect()
    }

    /// Calls a method of the API, which has to succeed.
    pub(crate) async fn call(&self, method: &str, body: &Value) -> Value {
        let answer = self.ask("POST", &format!("/api/{method}"), &body.to_string()).await;
        assert!(answer["result"].is_object(), "{method} {body}: {answer}");
        answer["result"].clone()
    }

    /// Asks as an operator does.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        self.ask("GET", path, "").await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\nX-API-Key: {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        serde_json::from_str(&exchange(self.addr, request.as_bytes()).await.body).unwrap()
    }

    /// Returns the value of a metric, summed over its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let body = get(self.addr, "/metrics").await.body;
        let values = body.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap())
        });
        let values: Vec<_> = values.collect();
        assert!(!values.is_empty(), "there is no metric {name}");
        values.iter().sum()
    }
}

async fn collect(mut log: Log, lines: Arc<Mutex<Vec<String>>>) {
    while let Ok(Some(line)) = log.next_line().await {
        lines.lock().unwrap().push(line);
    }
}
