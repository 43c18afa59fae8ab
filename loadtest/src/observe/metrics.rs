//! Metrics: counters from the server's own Prometheus or OpenMetrics page, read during the run.

use crate::exit::RunError;
use crate::wire::target::Target;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

/// A page that takes longer is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest page read.
const PAGE_MAX: u64 = 4 << 20;

/// The server's counters since it began; absent if its page does not have them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    /// throng's own: writes to sockets, and messages in them.
    pub(crate) sends: Option<f64>,
    pub(crate) deliveries: Option<f64>,
    /// Standard names, which most client libraries export.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) rss_bytes: Option<f64>,
}

/// Fetches the page on a thread of its own, so that a slow page does not delay the run.
pub(crate) fn fetch(target: &Target) -> JoinHandle<Option<Counters>> {
    let target = target.clone();
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect_timeout(&target.address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.path, target.host).ok()?;
        let mut page = Vec::new();
        stream.take(PAGE_MAX).read_to_end(&mut page).ok()?;
        page.starts_with(b"HTTP/1.1 200").then(|| parse(&String::from_utf8_lossy(&page)))
    })
}

/// Reads the page once, before the load.
///
/// # Errors
///
/// Fails when there is no page, which would otherwise only be missed in the report.
pub(crate) fn check(target: &Target) -> Result<(), RunError> {
    let page = fetch(target).join().ok().flatten();
    page.map(drop).ok_or_else(|| {
        RunError::Unreachable(format!("--server-metrics {target} cannot be read: no 200 within {PATIENCE:?}"))
    })
}

/// Finds the counters, summed over their labels. A chunk length between the lines is no counter and does no harm.
fn parse(page: &str) -> Counters {
    let sum = |name: &str| {
        let samples = page.lines().filter_map(|line| line.strip_prefix(name));
        let samples = samples.filter(|rest| rest.starts_with([' ', '{']));
        let values = samples
            .filter_map(|rest| rest.rsplit_once('}').map_or(rest, |(_, rest)| rest).split_ascii_whitespace().next());
        values
            .filter_map(|value| value.parse::<f64>().ok())
            .fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
    };
    Counters {
        sends: sum("throng_sends_total"),
        deliveries: sum("throng_deliveries_total"),
        cpu_seconds: sum("process_cpu_seconds_total"),
        rss_bytes: sum("process_resident_memory_bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels() {
        let page = "HTTP/1.1 200 OK\r\n\r\n# TYPE throng_sends counter\nthrong_sends_total{shard=\"0\"} 5\n\
                    throng_sends_total{shard=\"1\"} 7 1.5\nthrong_sends_total_other 9\nthrong_deliveries_total 300\n\
                    process_cpu_seconds_total 2.5\n# EOF\n";
        let counters =
            Counters { sends: Some(12.0), deliveries: Some(300.0), cpu_seconds: Some(2.5), ..Counters::default() };
        assert_eq!(parse(page), counters);
        assert_eq!(parse("nothing 1\n"), Counters::default());
    }
}
