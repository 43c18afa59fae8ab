//! Numbers for people: three digits and a unit.

use std::time::Duration;

/// Returns a count: `999`, `12.3k`, `4.56M`.
pub(super) fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// Returns bytes: `12 B`, `1.50 KiB`.
pub(super) fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// Returns a latency or a short time: `250us`, `12.3ms`, `4.56s`; from 100 s on as [`age`].
pub(super) fn latency(seconds: f64) -> String {
    if seconds >= 100.0 {
        return age(seconds);
    }
    scaled(seconds * 1e6, 1000.0, &["us", "ms", "s"])
}

/// Returns an age: `59s`, `3m20s`, `5h04m`, `12d`.
pub(super) fn age(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.6 would be rounded to 1000, so it becomes 1.00 of the next unit.
    while number >= step - 0.5 && unit + 1 < units.len() {
        (number, unit) = (number / step, unit + 1);
    }
    let digits = match number {
        _ if unit == 0 => 0,
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let counts = [0.0, 7.0, 999.0, 999.6, 1000.0, 12_345.0, 999_999.0, 4_560_000.0].map(count);
        assert_eq!(counts, ["0", "7", "999", "1.00k", "1.00k", "12.3k", "1.00M", "4.56M"]);
        assert_eq!([12.0, 1536.0, 1_048_576.0].map(bytes), ["12 B", "1.50 KiB", "1.00 MiB"]);
        assert_eq!([0.00025, 0.0123, 4.56, 100.0].map(latency), ["250us", "12.3ms", "4.56s", "1m40s"]);
        assert_eq!([59.0, 200.0, 18_240.0, 1_100_000.0].map(age), ["59s", "3m20s", "5h04m", "12d17h"]);
    }
}
