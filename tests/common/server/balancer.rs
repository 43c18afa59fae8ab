//! A balancer: real HAProxy or nginx with the files of `deploy/`, whose addresses are the only thing that is replaced.

use super::ports::free_addr;
use super::within;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Which one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Each channel goes to one of two hubs.
    HaProxy,
    Nginx,
    /// Any client goes to any of three hubs, which are a cluster.
    ClusterHaProxy,
}

pub(crate) struct Balancer {
    kind: Kind,
    folder: TempDir,
    child: Child,
    /// Of a reload that went before: it serves its connections to their end.
    earlier: Vec<Child>,
    pub(crate) addr: SocketAddr,
}

impl Balancer {
    /// Starts before hubs, as many as its file has, and waits until it listens.
    pub(crate) async fn start(kind: Kind, hubs: impl AsRef<[SocketAddr]>) -> Self {
        let (folder, addr) = (tempfile::tempdir().expect("there is a place"), free_addr());
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(kind.source()));
        let mut text = text.expect("the file is there");
        for (from, to) in kind.addresses(addr, hubs.as_ref()) {
            assert!(text.contains(&from), "{kind:?}: its file has no {from:?}");
            text = text.replace(&from, &to);
        }
        fs::write(folder.path().join(kind.file()), text).expect("it is ours");
        let child = kind.command(folder.path()).spawn().expect("it is installed: see ./test");
        let balancer = Self { kind, folder, child, earlier: Vec::new(), addr };
        within(async {
            while TcpStream::connect(addr).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        balancer
    }

    /// Has it read its file again, as an operator would.
    pub(crate) async fn reload(&mut self) {
        let pid = self.child.id().expect("it runs");
        match self.kind {
            Kind::HaProxy | Kind::ClusterHaProxy => {
                let mut command = self.kind.command(self.folder.path());
                let next = command.arg("-sf").arg(pid.to_string()).spawn().expect("it is installed");
                self.earlier.push(std::mem::replace(&mut self.child, next));
            }
            Kind::Nginx => {
                let pid = Pid::from_raw(pid.cast_signed()).expect("it is not zero");
                kill_process(pid, Signal::HUP).expect("it is ours");
            }
        }
    }
}

impl Kind {
    /// Its file in `deploy/`.
    fn source(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
            Self::ClusterHaProxy => "cluster/haproxy.cfg",
        }
    }

    /// Its file in the folder of the test.
    fn file(self) -> &'static str {
        match self {
            Self::HaProxy | Self::ClusterHaProxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
        }
    }

    /// Returns what is replaced by what, so that it listens here, before these hubs.
    fn addresses(self, addr: SocketAddr, hubs: &[SocketAddr]) -> Vec<(String, String)> {
        let listen = match self {
            Self::HaProxy | Self::Nginx => ("127.0.0.1:8080".to_owned(), addr.to_string()),
            Self::ClusterHaProxy => ("bind :8080".to_owned(), format!("bind {addr}")),
        };
        let hub = |(index, hub): (usize, &SocketAddr)| match self {
            Self::HaProxy | Self::Nginx => (format!("127.0.0.1:{}", 8081 + index), hub.to_string()),
            // Their internal address is the public one here.
            Self::ClusterHaProxy => {
                (format!("hub{0}:8080 check port 9080", index + 1), format!("{hub} check port {}", hub.port()))
            }
        };
        std::iter::once(listen).chain(hubs.iter().enumerate().map(hub)).collect()
    }

    fn command(self, folder: &Path) -> Command {
        let file = folder.join(self.file());
        let mut command = match self {
            Self::HaProxy | Self::ClusterHaProxy => {
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(file);
                command
            }
            Self::Nginx => {
                let mut command = Command::new("nginx");
                let (pid, log) = (folder.join("pid"), folder.join("log"));
                let rest = format!("daemon off; pid {}; error_log {};", pid.display(), log.display());
                command.arg("-p").arg(folder).arg("-c").arg(file).arg("-g").arg(rest);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// Its workers end with it: a master that is killed would leave them.
impl Drop for Balancer {
    fn drop(&mut self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let (Kind::Nginx, Some(pid)) = (self.kind, pid) {
            let _ = kill_process(pid, Signal::TERM);
            while matches!(self.child.try_wait(), Ok(None)) {}
        }
    }
}
