//! A stopping: how a hub leaves, in an order that balancers and clients can follow.

use super::ConfigError;
use clap::Args;
use humantime::parse_duration;
use std::time::Duration;

/// The part of the configuration that paces the end.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stopping")]
pub struct Stopping {
    /// Time between SIGTERM, from which on /health/ready says 503, and the moment when nobody new is let in: what a
    /// balancer needs to look elsewhere. Longer than its check interval times the failures it waits for.
    #[arg(long, env = "THRONG_LB_GRACE", default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub lb_grace: Duration,

    /// Time over which a drain closes connections evenly with 1012, each after what is pending for it. Longer spreads
    /// the reconnects thinner and the deploy longer.
    #[arg(long, env = "THRONG_DRAIN_TIME", default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    pub drain_time: Duration,

    /// Time for the last connections to end after the drain. Beyond it the process exits, still with 0.
    #[arg(
        long,
        env = "THRONG_SHUTDOWN_TIMEOUT",
        default_value = "10s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub shutdown_timeout: Duration,

    /// Time that the supervisor gives the process before it kills it: systemd's TimeoutStopSec, Kubernetes'
    /// terminationGracePeriodSeconds. A start warns when the three above do not fit into it. 0s: not known.
    #[arg(long, env = "THRONG_KILL_TIME", default_value = "0s", value_name = "TIME", value_parser = parse_duration)]
    pub kill_time: Duration,
}

impl Stopping {
    /// Returns how long a stop takes at most.
    pub fn total(&self) -> Duration {
        self.lb_grace + self.drain_time + self.shutdown_timeout
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let most = Duration::from_secs(24 * 3600);
        let times = [("lb-grace", self.lb_grace), ("drain-time", self.drain_time)];
        if let Some((flag, value)) = times.into_iter().find(|(_, time)| *time > most) {
            let (range, advice) = ((Duration::ZERO, most), "a deploy should end the same day");
            return Err(ConfigError::TimeOutOfRange { flag, value, range, advice });
        }
        if self.shutdown_timeout < Duration::from_millis(1) {
            return Err(ConfigError::ZeroTime { flag: "shutdown-timeout" });
        }
        Ok(())
    }
}
