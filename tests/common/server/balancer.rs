//! A balancer: real HAProxy or nginx with the files of `deploy/`, whose ports are the only thing that is replaced.

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
    HaProxy,
    Nginx,
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
    /// Starts before two hubs and waits until it listens.
    pub(crate) async fn start(kind: Kind, hubs: [SocketAddr; 2]) -> Self {
        let (file, folder, addr) = (kind.file(), tempfile::tempdir().expect("there is a place"), free_addr());
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file));
        let text = text.expect("the file is there").replace("127.0.0.1:8080", &addr.to_string());
        let text = text.replace("127.0.0.1:8081", &hubs[0].to_string()).replace("127.0.0.1:8082", &hubs[1].to_string());
        fs::write(folder.path().join(file), text).expect("it is ours");
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
            Kind::HaProxy => {
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
    fn file(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
        }
    }

    fn command(self, folder: &Path) -> Command {
        let file = folder.join(self.file());
        let mut command = match self {
            Self::HaProxy => {
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
