//! Connecting: opens connections and measures how long that takes.

use super::run::Coordinator;
use crate::clock::{now_ns, seconds};
use crate::exit::RunError;
use crate::measure::histogram::Histogram;
use crate::results::Connections;
use crate::worker::messages::{Event, Request};
use anyhow::Result;

impl Coordinator {
    /// Opens connections until there are `total`, and returns how long that took.
    ///
    /// # Errors
    ///
    /// Fails when the server cannot be reached or refuses a handshake.
    pub(crate) fn connect_to(&mut self, total: usize) -> Result<Connections> {
        self.stage("connect", None);
        let (before, already, start) = (self.watch.moment(), self.findings.connections.opened, now_ns());
        let rate = self.config.connect_rate / self.fleet.len() as f64;
        let mut handshake = Histogram::new();
        let mut opened = 0;
        for connected in self.ask(&Request::Connect { total, rate }, Event::connected)? {
            opened += connected.opened;
            handshake.merge(&connected.handshake);
        }
        if self.is_interrupted() {
            return Err(RunError::Interrupted.into());
        }
        let seconds = seconds(start, now_ns());
        let cpu = self.watch.moment().cpu_seconds_since(&before);
        Ok(Connections {
            opened: already + opened,
            timed: opened,
            seconds,
            handshake: handshake.summary(),
            server_cpu_us_per_connection: cpu.map(|cpu| cpu * 1e6 / opened.max(1) as f64),
        })
    }

    /// Connects all clients.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_to`].
    pub(crate) fn connect_all(&mut self) -> Result<()> {
        self.findings.connections = self.connect_to(self.config.connections())?;
        Ok(())
    }
}
