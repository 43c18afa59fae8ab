//! Where a program runs: here, or in a network namespace with an address of its own.

use super::ports::free_addr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use tokio::process::Command;

#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As `ip netns` knows it; `None` for that of the test.
    pub(crate) namespace: Option<String>,
    pub(crate) ip: IpAddr,
}

impl Place {
    /// The test's own namespace, over loopback.
    pub(crate) fn here() -> Self {
        Self { namespace: None, ip: Ipv4Addr::LOCALHOST.into() }
    }

    /// Returns an address for a program to listen on.
    pub(crate) fn free_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, free_addr().port())
    }

    /// Returns the same command, to be run in this place.
    pub(crate) fn command(&self, command: Command) -> Command {
        let Some(namespace) = &self.namespace else { return command };
        let command = command.as_std();
        let mut there = Command::new("ip");
        there.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there.stdin(Stdio::null()).kill_on_drop(true);
        there
    }
}
