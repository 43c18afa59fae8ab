//! Where a program runs: here, or in a network namespace with an address of its own; with the clock of the machine, or
//! another one.

use super::ports::free_addr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As `ip netns` knows it; `None` for that of the test.
    pub(crate) namespace: Option<String>,
    pub(crate) ip: IpAddr,
    /// Seconds by which its clock is ahead of the true one; `None` for that of the machine.
    pub(crate) clock: Option<i32>,
}

impl Place {
    /// The test's own namespace, over loopback.
    pub(crate) fn here() -> Self {
        Self { namespace: None, ip: Ipv4Addr::LOCALHOST.into(), clock: None }
    }

    /// The same, with a clock that is so many seconds ahead.
    pub(crate) fn with_clock(seconds: i32) -> Self {
        Self { clock: Some(seconds), ..Self::here() }
    }

    /// Returns an address for a program to listen on.
    pub(crate) fn free_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, free_addr().port())
    }

    /// Returns the same command, to be run in this place.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        if let Some(seconds) = self.clock {
            command.env("LD_PRELOAD", faketime()).env("FAKETIME", format!("{seconds:+}"));
            // A clock that is set wrong still goes on evenly.
            command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
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

/// The library that gives a program another clock: where it is depends on the architecture.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path());
    let mut files = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists()).expect("tests/install installs faketime")
}
