//! NATS servers with JetStream, as processes of the test: one, or several that are a cluster.

use crate::server::nats::program;
use crate::server::place::Place;
use crate::server::{exchange, get, within};
use crate::vdso::set_clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Some NATS servers, which end with this.
pub(crate) struct Nats {
    pub(crate) servers: Vec<NatsServer>,
    _folder: TempDir,
}

pub(crate) struct NatsServer {
    pub(crate) addr: SocketAddr,
    pub(crate) name: String,
    /// Where it says how it is.
    monitor: SocketAddr,
    place: Place,
    program: String,
    config: PathBuf,
    child: Option<Child>,
}

impl Nats {
    /// Starts one server in each place, and waits until JetStream can be used.
    pub(crate) async fn start_at(places: &[Place]) -> Self {
        let nats = Self::start_unready(places).await;
        for server in &nats.servers {
            server.healthy().await;
        }
        nats
    }

    /// Starts one server in each place, and waits only until clients can connect.
    pub(crate) async fn start_unready(places: &[Place]) -> Self {
        let (folder, program) = (tempfile::tempdir().unwrap(), program().await);
        let addrs: Vec<_> = places.iter().map(|place| (place.free_addr(), place.free_addr())).collect();
        let routes: Vec<_> = addrs.iter().map(|(_, route)| format!("nats://{route}")).collect();
        let servers = addrs.iter().enumerate().map(|(index, (addr, route))| {
            let name = format!("n{index}");
            let store = folder.path().join(&name);
            let monitor = places[index].free_addr();
            let mut text = format!(
                "server_name: {name}\nlisten: {addr}\nhttp: \"{monitor}\"\n\
                 jetstream {{ store_dir: {:?}, max_mem: 1G, max_file: 4G }}\n",
                store.display().to_string()
            );
            if places.len() > 1 {
                text += &format!("cluster {{ name: test, listen: {route}, routes: [{}] }}\n", routes.join(", "));
            }
            let config = folder.path().join(format!("{name}.conf"));
            std::fs::write(&config, text).unwrap();
            let (place, program) = (places[index].clone(), program.clone());
            NatsServer { addr: *addr, name, monitor, place, program, config, child: None }
        });
        let mut nats = Self { servers: servers.collect(), _folder: folder };
        for server in &mut nats.servers {
            server.start();
        }
        for server in &nats.servers {
            server.listening().await;
        }
        nats
    }

    /// Kills all servers, and starts them again with what they have stored.
    pub(crate) async fn kill_and_start_all(&mut self) {
        for server in &mut self.servers {
            server.kill().await;
        }
        for server in &mut self.servers {
            server.start();
        }
    }

    /// Returns what a hub is told of the servers, as a list of TOML.
    pub(crate) fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(|server| format!("\"nats://{}\"", server.addr)).collect();
        format!("[{}]", urls.join(", "))
    }
}

impl NatsServer {
    /// Starts it, or starts it again with what it has stored.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.config);
        let mut command = self.place.command(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.kill_on_drop(true).spawn().unwrap());
        // It is linked without the C library, which is what a place gives another clock.
        if let Some(seconds) = self.place.clock {
            set_clock(self.id(), seconds);
        }
    }

    /// Sets its clock, now if it runs, so many seconds ahead of the true one.
    pub(crate) fn set_clock(&mut self, seconds: i32) {
        self.place.clock = Some(seconds);
        if self.child.is_some() {
            set_clock(self.id(), seconds);
        }
    }

    /// Waits until clients can connect.
    pub(crate) async fn listening(&self) {
        within(async {
            while TcpStream::connect(self.addr).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until it says that it is well: JetStream has a leader, and it has heard of it.
    pub(crate) async fn healthy(&self) {
        within(async {
            while TcpStream::connect(self.monitor).await.is_err() || get(self.monitor, "/healthz").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Asks what it says of itself.
    pub(crate) async fn monitor(&self, path: &str) -> Value {
        // Answers of HTTP/1.0 come in one piece.
        let answer = exchange(self.monitor, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Kills it, as a power cut would.
    pub(crate) async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Ends it with a signal, and waits for that.
    pub(crate) async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut child = self.child.take().unwrap();
        within(child.wait()).await.unwrap();
    }
}
