//! A handshake: the request every client sends, and the judgement of the answer.

/// The key of RFC 6455 section 1.3. Every client may use the same one, so the right answer is a constant too.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to [`KEY`].
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The longest answer read. Servers send some 130 bytes; proxies add headers, not kilobytes.
const ANSWER_MAX: usize = 16 * 1024;

/// The meaning of the bytes so far.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// The header has not ended.
    Unfinished,
    /// The server accepted; frames start at this byte.
    Agreed(usize),
    /// It did not, for this reason.
    Refused(String),
    /// It does not speak HTTP or WebSocket, for this reason.
    Foreign(String),
}

/// Returns the bytes of the request.
pub(crate) fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Judges an answer, RFC 6455 section 4.1.
pub(crate) fn judge(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() {
            0..ANSWER_MAX if b"HTTP/1.1 ".starts_with(&bytes[..bytes.len().min(9)]) => Answer::Unfinished,
            0..ANSWER_MAX => {
                Answer::Foreign(format!("speaks no HTTP/1.1: {}", bytes[..bytes.len().min(60)].escape_ascii()))
            }
            len => Answer::Foreign(format!("answered with a header of more than {len} bytes")),
        };
    };
    let header = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = header.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        return Answer::Refused(format!("answered {status:?}"));
    }
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    match headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept")) {
        Some((_, value)) if value.trim() == ACCEPT => Answer::Agreed(end + 4),
        Some((_, value)) => Answer::Foreign(format!("answered with a wrong Sec-WebSocket-Accept {:?}", value.trim())),
        None => Answer::Foreign("answered 101 without Sec-WebSocket-Accept".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn answer_is_judged_when_it_is_whole() {
        for cut in 0..GOOD.len() {
            assert_eq!(judge(&GOOD.as_bytes()[..cut]), Answer::Unfinished, "cut at {cut}");
        }
        assert_eq!(judge(format!("{GOOD}\u{1}").as_bytes()), Answer::Agreed(GOOD.len()), "a frame may follow at once");
    }

    #[test]
    fn other_answers_are_refused() {
        let foreign = |answer: &str| matches!(judge(answer.as_bytes()), Answer::Foreign(_));
        assert!(matches!(judge(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Answer::Refused(_)));
        assert!(foreign("SSH-2.0-OpenSSH_9.2\r\n"));
        assert!(foreign(&GOOD.replace("s3pP", "s3pp")));
        assert!(foreign("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
        assert!(foreign(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(ANSWER_MAX))));
    }
}
