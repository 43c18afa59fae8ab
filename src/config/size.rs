//! A size: a number of bytes, with or without a unit.

/// Returns the number of bytes that a text says: `65536`, `65_536`, `64KiB`, `64k` or `2 MB`.
///
/// `KiB` and the single letters `K`, `M`, `G` and `T` are powers of 1,024, as in systemd and Docker; `kB`, `MB`, `GB`
/// and `TB` are powers of 1,000. Case does not matter. A rate may end with `/s`.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("/s").unwrap_or(&text).trim_end();
    let end = text.find(|one: char| !one.is_ascii_digit() && one != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.replace('_', "").parse::<u64>().ok()?;
    number.checked_mul(factor(unit.trim_start())?)
}

fn factor(unit: &str) -> Option<u64> {
    let Some(letter) = unit.chars().next() else { return Some(1) };
    let power = match letter {
        'b' if unit == "b" => return Some(1),
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        _ => return None,
    };
    match unit.get(1..) {
        Some("" | "ib") => Some(1_024_u64.pow(power)),
        Some("b") => Some(1_000_u64.pow(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_has_the_units_that_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("65_536", 65_536),
            ("12b", 12),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1M", 1 << 20),
            ("512m", 512 << 20),
            ("1MB", 1_000_000),
            ("2gb", 2_000_000_000),
            ("1GiB", 1 << 30),
            ("256KiB/s", 262_144),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "+1", "1.5M", "1 MiBB", "1MiBs", "1bb", "1bib", "1x", "18446744073709551615k"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
