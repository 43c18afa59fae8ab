//! HTTP/1.1 as a client of an API needs it: a request with a body, and an answer that is read as it comes.

use thiserror::Error;

/// The longest head of an answer. Servers send some 200 bytes; proxies add headers, not kilobytes.
const HEAD_MAX: usize = 16 * 1024;

/// The longest body of an answer: 4,096 answers to publications of some 60 bytes each.
const BODY_MAX: usize = 16 << 20;

/// Why bytes are no answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum HttpError {
    #[error("speaks no HTTP/1.1: {0}")]
    Foreign(String),
    #[error("answered with a header of more than {HEAD_MAX} bytes")]
    LongHead,
    #[error("answered with a body of more than {BODY_MAX} bytes")]
    LongBody,
    #[error("answered with the bad header \"{0}\"")]
    BadHeader(String),
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status and reason, as in `503 Service Unavailable`.
    pub(crate) status_line: String,
    /// `Retry-After`, in seconds; dates are not understood.
    pub(crate) retry_after_s: Option<u64>,
    /// Whether the server ends the connection after it.
    pub(crate) is_last: bool,
    pub(crate) body: Vec<u8>,
}

/// Appends a POST request for `path` of `host`; `headers` are whole lines.
pub(crate) fn post(host: &str, path: &str, headers: &str, body: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Takes an answer from the front of `bytes`, if all of it has come.
///
/// # Errors
///
/// Fails when the bytes are no answer.
pub(crate) fn take_response(bytes: &mut Vec<u8>) -> Result<Option<Response>, HttpError> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() {
            0..HEAD_MAX if b"HTTP/1.1 ".starts_with(&bytes[..bytes.len().min(9)]) => Ok(None),
            0..HEAD_MAX => Err(HttpError::Foreign(bytes[..bytes.len().min(60)].escape_ascii().to_string())),
            _ => Err(HttpError::LongHead),
        };
    };
    let mut head = Head::parse(&String::from_utf8_lossy(&bytes[..end]))?;
    let rest = &bytes[end + 4..];
    let (body, used) = match head.length {
        Length::Known(len) if len > BODY_MAX => return Err(HttpError::LongBody),
        Length::Known(len) => match rest.get(..len) {
            Some(body) => (body.to_vec(), len),
            None => return Ok(None),
        },
        Length::Chunked => match chunks(rest)? {
            Some(read) => read,
            None => return Ok(None),
        },
    };
    bytes.drain(..end + 4 + used);
    head.response.body = body;
    Ok(Some(head.response))
}

/// How long a body is.
#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    response: Response,
    length: Length,
}

impl Head {
    fn parse(text: &str) -> Result<Self, HttpError> {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let foreign = || HttpError::Foreign(first.chars().take(60).collect());
        let status_line = first.strip_prefix("HTTP/1.1 ").ok_or_else(foreign)?.trim().to_owned();
        let status = status_line.split(' ').next().and_then(|status| status.parse().ok()).ok_or_else(foreign)?;
        let mut response = Response { status, status_line, retry_after_s: None, is_last: false, body: Vec::new() };
        let mut length = Length::Known(0);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = Length::Known(value.parse().map_err(|_| HttpError::BadHeader(line.to_owned()))?);
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
                "connection" => response.is_last = value.eq_ignore_ascii_case("close"),
                "retry-after" => response.retry_after_s = value.parse().ok(),
                _ => {}
            }
        }
        Ok(Self { response, length })
    }
}

/// Reads a body in chunks, RFC 9112 section 7.1; returns it with the bytes that it took, or nothing if it is not whole.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes[at..at + line]);
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| HttpError::BadHeader(text.clone().into_owned()))?;
        if size > BODY_MAX - body.len().min(BODY_MAX) {
            return Err(HttpError::LongBody);
        }
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn answer_is_taken_when_it_is_whole() {
        for cut in 0..ANSWER.len() {
            assert_eq!(take_response(&mut ANSWER.as_bytes()[..cut].to_vec()), Ok(None), "cut at {cut}");
        }
        let mut bytes = format!("{ANSWER}HTTP").into_bytes();
        let response = take_response(&mut bytes).unwrap().unwrap();
        assert_eq!((response.status, response.status_line.as_str()), (503, "503 Service Unavailable"));
        assert_eq!(
            (response.retry_after_s, response.body.as_slice(), response.is_last),
            (Some(2), &b"hello"[..], false)
        );
        assert_eq!(bytes, b"HTTP", "the next answer is left");
    }

    #[test]
    fn chunks_are_put_together() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                      3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        for cut in 0..answer.len() {
            assert_eq!(take_response(&mut answer.as_bytes()[..cut].to_vec()), Ok(None), "cut at {cut}");
        }
        let response = take_response(&mut answer.as_bytes().to_vec()).unwrap().unwrap();
        assert_eq!((response.body.as_slice(), response.is_last), (&b"abc0123456789"[..], true));
    }

    #[test]
    fn other_bytes_are_refused() {
        let refused = |text: &str| take_response(&mut text.as_bytes().to_vec()).unwrap_err();
        assert!(matches!(refused("SSH-2.0-OpenSSH_9.2\r\n"), HttpError::Foreign(_)));
        assert!(matches!(refused("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), HttpError::BadHeader(_)));
        assert_eq!(refused(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_MAX))), HttpError::LongHead);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(&format!("{chunked}ffffff1\r\n")), HttpError::LongBody);
    }
}
