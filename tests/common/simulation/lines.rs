//! Lines of a simulated client: what was published, however its encoding writes it.

use serde_json::Value;
use throng::protocol::Encoding;

/// Returns the offset of a publication, if the encoding tells it, and its text.
pub(crate) fn published_line(encoding: Encoding, line: String) -> (Option<u64>, String) {
    match encoding {
        Encoding::NumberedLines => {
            let mut parts = line.splitn(3, ' ');
            let offset: u64 = parts.next().and_then(|offset| offset.parse().ok()).expect("a line has an offset");
            assert!(parts.next().is_some_and(|time| time.parse::<u64>().is_ok()), "{line}");
            (Some(offset), parts.next().unwrap_or("").to_owned())
        }
        Encoding::Lines | Encoding::Frames => (None, line),
        Encoding::Centrifuge(_) | Encoding::CentrifugeDeltas(_) => {
            let reply: Value = serde_json::from_str(&line).expect("it is JSON");
            let push = &reply["push"];
            let text = push["pub"]["data"].as_str().expect("a line is a string").to_owned();
            assert!(text.starts_with(push["channel"].as_str().expect("a push has a channel")), "{line}");
            (push["pub"]["offset"].as_u64(), text)
        }
    }
}
