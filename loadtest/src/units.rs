//! Quantities as people read them.

/// `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a rate: whole above 100, else with one decimal.
pub(crate) fn rate(value: f64) -> String {
    if value >= 100.0 {
        let whole = format!("{value:.0}");
        return whole.parse().map_or(whole, count);
    }
    format!("{value:.1}")
}

/// Microseconds, as µs, ms or s.
pub(crate) fn micros(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} µs"),
        1_000..10_000 => format!("{:.2} ms", value as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", value as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", value as f64 / 1e3),
        _ => format!("{:.2} s", value as f64 / 1e6),
    }
}

/// Returns bytes, as B, KiB or MiB.
pub(crate) fn bytes(value: f64) -> String {
    match value.abs() {
        ..1024.0 => format!("{value:.0} B"),
        ..1_048_576.0 => format!("{:.1} KiB", value / 1024.0),
        _ => format!("{:.1} MiB", value / 1_048_576.0),
    }
}

/// Returns a share, as `16.1 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.5, 99.94, 1234.5].map(rate), ["0.5", "99.9", "1,234"]);
        assert_eq!([9, 4_104, 25_000, 2_500_000].map(micros), ["9 µs", "4.10 ms", "25.0 ms", "2.50 s"]);
        assert_eq!([512.0, 2048.0, 3e6, -2048.0].map(bytes), ["512 B", "2.0 KiB", "2.9 MiB", "-2.0 KiB"]);
        assert_eq!(percent(0.1612), "16.1 %");
    }
}
