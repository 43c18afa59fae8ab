//! A sample: the numbers of a metrics page.

use std::collections::BTreeMap;
use std::time::Instant;

/// The numbers of a metrics page, by name and labels.
#[derive(Clone, Debug)]
pub struct Sample {
    at: Instant,
    numbers: BTreeMap<String, Vec<(Labels, f64)>>,
}

/// Labels of a number, by name.
type Labels = BTreeMap<String, String>;

impl Sample {
    /// Parses a page in Prometheus' format or OpenMetrics. Skips lines that it does not understand, so that the page of
    /// another version is shown as far as possible.
    pub fn parse(page: &str) -> Self {
        let mut numbers = BTreeMap::<_, Vec<_>>::new();
        for (name, labels, number) in page.lines().filter(|line| !line.starts_with('#')).filter_map(parse_line) {
            numbers.entry(name).or_default().push((labels, number));
        }
        Self { at: Instant::now(), numbers }
    }

    /// Returns the sum of a metric over all its labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.all(name).iter().map(|(_, number)| number).sum()
    }

    /// Returns the sums of a metric for each value of a label.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (labels, number) in self.all(name) {
            *sums.entry(labels.get(label).cloned().unwrap_or_default()).or_insert(0.0) += number;
        }
        sums
    }

    /// Returns the value of a label of a metric's first number.
    pub fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.all(name).first()?.0.get(label).map(String::as_str)
    }

    /// Returns the buckets of a histogram, of one shard or of all: their upper bounds, and cumulative counts since
    /// `before`.
    pub fn buckets(&self, before: &Self, name: &str, shard: Option<&str>) -> Vec<(f64, f64)> {
        let cumulative = |sample: &Self| {
            let mut counts = BTreeMap::<u64, (f64, f64)>::new();
            for (labels, count) in sample.all(&format!("{name}_bucket")) {
                let is_selected = shard.is_none() || labels.get("shard").map(String::as_str) == shard;
                let Some(bound) = labels.get("le").and_then(|bound| bound.parse::<f64>().ok()) else { continue };
                if is_selected {
                    // The bits of positive numbers have the same order as the numbers.
                    counts.entry(bound.to_bits()).or_insert((bound, 0.0)).1 += count;
                }
            }
            counts
        };
        let earlier = cumulative(before);
        let since = |bits: u64, now: f64| now - earlier.get(&bits).map_or(0.0, |(_, count)| *count);
        cumulative(self).into_iter().map(|(bits, (bound, count))| (bound, since(bits, count))).collect()
    }

    /// Returns the seconds since an earlier sample.
    pub fn seconds_since(&self, before: &Self) -> f64 {
        self.at.duration_since(before.at).as_secs_f64().max(0.001)
    }

    fn all(&self, name: &str) -> &[(Labels, f64)] {
        self.numbers.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Parses `name{label="value",...} number`.
fn parse_line(line: &str) -> Option<(String, Labels, f64)> {
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, number) = rest.rsplit_once('}')?;
            return Some((name.to_owned(), parse_labels(labels), number.split_whitespace().next()?.parse().ok()?));
        }
        None => line.split_once(' ')?,
    };
    Some((name.to_owned(), Labels::new(), rest.split_whitespace().next()?.parse().ok()?))
}

fn parse_labels(labels: &str) -> Labels {
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE a counter\n\
        a_total{shard=\"0\",x=\"1, 2\"} 3\na_total{shard=\"1\"} 4.5\nb 7 1234\nbroken\n\
        h_bucket{le=\"0.1\",shard=\"0\"} 2\nh_bucket{le=\"+Inf\",shard=\"0\"} 5\n# EOF\n";

    #[test]
    fn numbers_are_found_by_name_and_label() {
        let sample = Sample::parse(PAGE);
        assert_eq!((sample.sum("a_total"), sample.sum("b"), sample.sum("nothing")), (7.5, 7.0, 0.0));
        assert_eq!(sample.by("a_total", "shard"), [("0".to_owned(), 3.0), ("1".to_owned(), 4.5)].into());
        assert_eq!(sample.label("a_total", "x"), Some("1, 2"));
    }

    #[test]
    fn histogram_is_the_difference_of_two_samples() {
        let (before, now) = (Sample::parse(PAGE), Sample::parse(&PAGE.replace("} 2", "} 9").replace("} 5", "} 13")));
        assert_eq!(now.buckets(&before, "h", None), [(0.1, 7.0), (f64::INFINITY, 8.0)]);
        assert_eq!(now.buckets(&before, "h", Some("1")), []);
    }
}
