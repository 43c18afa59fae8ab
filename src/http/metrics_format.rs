//! Formats of the metrics page: which one a scraper prefers, and the conversion from the newer to the older.

use hyper::header::{ACCEPT, HeaderMap};
use std::cmp::Reverse;
use std::fmt::Write;

/// A text format that Prometheus reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every scraper reads.
    Prometheus,
}

impl Format {
    /// Returns the format that a request's `Accept` prefers: OpenMetrics only where it is named, as Prometheus and its
    /// client libraries have it, because a scraper that accepts anything may read only the older format.
    ///
    /// Each format has the weight of the most specific range that covers it (RFC 9110 section 12.5.1). At equal weights
    /// an exact range wins over a wildcard, and an earlier range over a later one.
    pub(super) fn negotiate(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let list = values.collect::<Vec<_>>().join(",").to_ascii_lowercase();
        let ranges: Vec<_> = list.split(',').map(MediaRange::parse).collect();
        let rank = |format| {
            let covering = ranges.iter().enumerate().filter_map(|(position, range)| {
                range.specificity(format).map(|specificity| (specificity, range.weight, Reverse(position)))
            });
            covering.max().map(|(specificity, weight, position)| (weight, specificity, position))
        };
        // A weight of 0 means "not acceptable".
        let openmetrics = rank(Self::OpenMetrics).filter(|(weight, ..)| *weight > 0);
        if openmetrics > rank(Self::Prometheus) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns the value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Returns the media type and the version that a range has to name.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenMetrics => ("application/openmetrics-text", "1.0.0"),
            Self::Prometheus => ("text/plain", "0.0.4"),
        }
    }
}

/// One range of an `Accept` header, in lower case: `text/plain;version=0.0.4;q=0.5`.
#[derive(Debug)]
struct MediaRange<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    /// In thousandths, as precise as RFC 9110 lets it be.
    weight: u16,
}

impl<'a> MediaRange<'a> {
    /// Reads a range. Parameters that do not tell formats apart, such as `charset` and `escaping`, are skipped.
    fn parse(range: &'a str) -> Self {
        let mut parts = range.split(';').map(str::trim);
        let mut parsed = Self { media_type: parts.next().unwrap_or_default(), version: None, weight: 1000 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "version" => parsed.version = Some(value.trim().trim_matches('"')),
                "q" => parsed.weight = thousandths(value.trim()).unwrap_or(1000),
                _ => {}
            }
        }
        parsed
    }

    /// Returns how specifically the range covers a format; `None` if it does not.
    fn specificity(&self, format: Format) -> Option<u8> {
        let (media_type, version) = format.names();
        match self.media_type {
            "*/*" if format == Format::Prometheus => Some(0),
            "text/*" if format == Format::Prometheus => Some(1),
            named if named == media_type && self.version.is_none_or(|wanted| wanted == version) => Some(2),
            _ => None,
        }
    }
}

/// Reads a weight between 0 and 1, in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: u16 = format!("{whole}{fraction:0<3.3}").parse().ok()?;
    Some(digits.min(1000))
}

/// Converts a page of counters, gauges and histograms from OpenMetrics to Prometheus' format. There, the help and type
/// of a counter have the name of its sample, and there are no lines for units or the end of the page.
pub(super) fn to_prometheus(openmetrics: &str) -> String {
    let mut page = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        // Writing to a string does not fail.
        let _ = match (words.next(), words.next(), words.next(), words.next()) {
            // The type comes next; only then is the name known.
            (Some("#"), Some("HELP"), _, text) => {
                help = text.unwrap_or_default();
                Ok(())
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                writeln!(page, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")
            }
            (Some("#"), ..) => Ok(()),
            _ => writeln!(page, "{line}"),
        };
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn openmetrics_is_for_scrapers_that_prefer_it_by_name() {
        let table = [
            // Prometheus 2.42, 2.49 and 3.0; curl; Chromium.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Prometheus),
            // One format.
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text;version=2.0.0", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=0.000", Format::Prometheus),
            ("application/openmetrics-text;q=0.001", Format::OpenMetrics),
            ("text/plain", Format::Prometheus),
            ("text/plain;version=0.0.4;charset=utf-8", Format::Prometheus),
            ("application/*", Format::Prometheus),
            ("application/json", Format::Prometheus),
            // Weights, and the order of equals.
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", Format::Prometheus),
            ("text/plain;q=0.8, application/openmetrics-text;q=0.81", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::Prometheus),
            ("application/openmetrics-text, text/plain", Format::OpenMetrics),
            ("*/*, application/openmetrics-text", Format::OpenMetrics),
            ("text/*, application/openmetrics-text", Format::OpenMetrics),
            ("*/*, application/openmetrics-text;q=0.9", Format::Prometheus),
            // The most specific range has the say: the older format has 0.1 here, and may not be sent there.
            ("*/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5", Format::OpenMetrics),
            ("*/*, text/plain;q=0, application/openmetrics-text;q=0.1", Format::OpenMetrics),
            ("text/plain;version=1.0.0, application/openmetrics-text;q=0.1", Format::OpenMetrics),
            // Nonsense.
            ("", Format::Prometheus),
            (";;=,q=1,/", Format::Prometheus),
            ("application/openmetrics-text;q=nan, text/plain;q=0.5", Format::OpenMetrics),
            ("application/openmetrics-text;q=7, text/plain", Format::OpenMetrics),
            ("application/openmetrics-text;q=-1;q=99999999, text/plain;q=0.5", Format::OpenMetrics),
        ];
        assert_eq!(Format::negotiate(&HeaderMap::new()), Format::Prometheus, "without the header");
        for (accept, format) in table {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::negotiate(&headers), format, "{accept}");
        }
    }

    #[test]
    fn several_accept_headers_are_one_list() {
        let values = ["text/plain;q=0.5", "application/openmetrics-text"].map(HeaderValue::from_static);
        let headers = HeaderMap::from_iter(values.map(|value| (ACCEPT, value)));
        assert_eq!(Format::negotiate(&headers), Format::OpenMetrics);
    }

    #[test]
    fn counters_are_described_by_their_samples_name() {
        let openmetrics = "# HELP a_seconds Time, # of it.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total{x=\"# 1\"} 2.5\n# HELP b What b is.\n# TYPE b gauge\nb 7\n\
            # HELP h Times.\n# TYPE h histogram\nh_sum 0.5\nh_count 1\nh_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let prometheus = "# HELP a_seconds_total Time, # of it.\n# TYPE a_seconds_total counter\n\
            a_seconds_total{x=\"# 1\"} 2.5\n# HELP b What b is.\n# TYPE b gauge\nb 7\n\
            # HELP h Times.\n# TYPE h histogram\nh_sum 0.5\nh_count 1\nh_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(to_prometheus(openmetrics), prometheus);
    }
}
