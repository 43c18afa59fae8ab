//! A handshake: where the request ends and what to answer, RFC 6455 section 4.2.

use crate::client::End;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Bytes of the longest request; the load generator sends some 160.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// The right answer to the key of RFC 6455 section 1.3.
pub(crate) const CONSTANT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Returns where the request ends, or nothing if it has not.
///
/// # Errors
///
/// Fails when it is too long.
pub(crate) fn end(bytes: &[u8]) -> Result<Option<usize>, End> {
    match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(start) => Ok(Some(start + 4)),
        None if bytes.len() > REQUEST_BYTES_MAX => Err(End::Refused),
        None => Ok(None),
    }
}

/// Returns the answer to a request.
///
/// # Errors
///
/// Fails when it has no key.
pub(crate) fn answer(request: &[u8]) -> Result<String, End> {
    let request = str::from_utf8(request).map_err(|_| End::Refused)?;
    let mut headers = request.lines().filter_map(|line| line.split_once(':'));
    let key = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let (_, key) = key.ok_or(End::Refused)?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.trim().as_bytes())
    ))
}
