//! Stopping: how long a stop may take, so that load balancers and clients can follow.

use super::section::section;
use super::setting::{DAY, deadline, duration, text};
use std::time::Duration;

/// Longest time of a supervisor, far above the longest stop.
const KILL_TIME_MAX: u64 = 30 * DAY;

section! {
    /// How the hub stops, after SIGTERM or `POST /admin/drain`.
    pub struct StoppingConfig in "stopping" (Once) {
        /// Time after SIGTERM during which new connections are still accepted while /health/ready answers 503, whether
        /// clients are connected or not.
        ///
        /// Load balancers need it to notice. Set it longer than their check interval times the number of failures that
        /// they wait for.
        lb_grace: Duration = duration(0, DAY, "a deploy should end the same day"), text("5s"), AtOnce;

        /// Time over which a drain closes the open connections evenly, with 1012, each after its pending messages.
        ///
        /// At least one connection per second is closed, so that few connections take less time. A longer time spreads
        /// the reconnects and makes a deploy longer.
        drain_time: Duration = duration(0, DAY, "a deploy should end the same day"), text("30s"), AtOnce;

        /// Time for the last connections to close after a drain. Then the process exits with 0 all the same.
        shutdown_timeout: Duration = deadline(), text("10s"), AtOnce;

        /// Time that the supervisor gives the process before it kills it: systemd's TimeoutStopSec, Kubernetes'
        /// terminationGracePeriodSeconds. 0s: not known.
        ///
        /// It only makes the start log a warning when the three times above do not fit into it.
        kill_time: Duration = duration(0, KILL_TIME_MAX, "give 0s if it never kills"), text("0s"), Restart;
    }
}

impl StoppingConfig {
    /// Returns how long a stop takes at most.
    pub fn total(&self) -> Duration {
        self.lb_grace + self.drain_time + self.shutdown_timeout
    }
}
