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

/// Returns the bytes of the request, which asks for a subprotocol if there is one.
pub(crate) fn request(host: &str, path: &str, subprotocol: Option<&str>) -> String {
    let subprotocol = subprotocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
    )
}

/// Judges an answer, RFC 6455 section 4.1, to a request with this subprotocol.
pub(crate) fn judge(bytes: &[u8], subprotocol: Option<&str>) -> Answer {
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
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let value = |wanted: &str| {
        let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim())
    };
    match value("sec-websocket-accept") {
        Some(ACCEPT) => {}
        Some(value) => return Answer::Foreign(format!("answered with a wrong Sec-WebSocket-Accept {value:?}")),
        None => return Answer::Foreign("answered 101 without Sec-WebSocket-Accept".to_owned()),
    }
    match subprotocol {
        Some(name) if value("sec-websocket-protocol") != Some(name) => {
            Answer::Foreign(format!("does not speak the subprotocol {name}"))
        }
        _ => Answer::Agreed(end + 4),
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
            assert_eq!(judge(&GOOD.as_bytes()[..cut], None), Answer::Unfinished, "cut at {cut}");
        }
        assert_eq!(
            judge(format!("{GOOD}\u{1}").as_bytes(), None),
            Answer::Agreed(GOOD.len()),
            "a frame may follow at once"
        );
    }

    #[test]
    fn other_answers_are_refused() {
        let foreign = |answer: &str| matches!(judge(answer.as_bytes(), None), Answer::Foreign(_));
        assert!(matches!(judge(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", None), Answer::Refused(_)));
        assert!(foreign("SSH-2.0-OpenSSH_9.2\r\n"));
        assert!(foreign(&GOOD.replace("s3pP", "s3pp")));
        assert!(foreign("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
        assert!(foreign(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(ANSWER_MAX))));
    }

    #[test]
    fn subprotocol_has_to_be_the_one_that_was_asked_for() {
        let asked = |answer: &str| judge(answer.as_bytes(), Some("throng.numbered"));
        let chosen = GOOD.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: throng.numbered\r\n\r\n");
        assert_eq!(asked(&chosen), Answer::Agreed(chosen.len()));
        assert!(request("h", "/", Some("a.b")).ends_with("\r\nSec-WebSocket-Protocol: a.b\r\n\r\n"));
        for other in [GOOD.to_owned(), chosen.replace("numbered", "chat")] {
            assert_eq!(asked(&other), Answer::Foreign("does not speak the subprotocol throng.numbered".to_owned()));
        }
    }
}
