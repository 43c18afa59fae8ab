//! Metrics: two counters from the server's own OpenMetrics page, read beside the run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::target::Target;

/// A page that takes longer is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest page read.
const PAGE_MAX: u64 = 4 << 20;

/// What the server has counted since it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counters {
    pub(crate) sends: f64,
    pub(crate) deliveries: f64,
}

/// Fetches the page on a thread of its own, so that a slow page does not delay the messages that are due.
pub(crate) fn fetch(target: &Target) -> JoinHandle<Option<Counters>> {
    let target = target.clone();
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect_timeout(&target.address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.path, target.host).ok()?;
        let mut page = Vec::new();
        stream.take(PAGE_MAX).read_to_end(&mut page).ok()?;
        parse(&String::from_utf8_lossy(&page))
    })
}

/// Finds the two counters, summed over their labels. A chunk length between the lines is no counter and does no harm.
fn parse(page: &str) -> Option<Counters> {
    let sum = |name: &str| {
        let samples = page.lines().filter_map(|line| line.strip_prefix(name));
        let samples = samples.filter(|rest| rest.starts_with([' ', '{']));
        let values = samples
            .filter_map(|rest| rest.rsplit_once('}').map_or(rest, |(_, rest)| rest).split_ascii_whitespace().next());
        values
            .filter_map(|value| value.parse::<f64>().ok())
            .fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
    };
    Some(Counters { sends: sum("throng_sends_total")?, deliveries: sum("throng_deliveries_total")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels() {
        let page = "HTTP/1.1 200 OK\r\n\r\n# TYPE throng_sends counter\nthrong_sends_total{shard=\"0\"} 5\n\
                    throng_sends_total{shard=\"1\"} 7 1.5\nthrong_sends_total_other 9\nthrong_deliveries_total 300\n# \
                     EOF\n";
        assert_eq!(parse(page), Some(Counters { sends: 12.0, deliveries: 300.0 }));
        assert_eq!(parse("throng_sends_total 1\n"), None);
    }
}
