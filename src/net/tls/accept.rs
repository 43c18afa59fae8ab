//! A TLS handshake: in time, or refused for a reason; and a word for who speaks plain HTTP to an encrypted address.

use crate::metrics::Refusal;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of every handshake, RFC 8446 section 5.1.
const HANDSHAKE: u8 = 22;

/// The answer to a letter, with which a request begins.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
    \r\nBad request: this address is encrypted; use https:// or wss://\n";

/// Makes a handshake.
///
/// # Errors
///
/// How it is counted; `None` when the peer just left, as a balancer's probe does.
pub(crate) async fn accept(
    stream: TcpStream,
    settings: &Arc<ServerConfig>,
    longest: Duration,
) -> Result<TlsStream<TcpStream>, Option<Refusal>> {
    match timeout(longest, accept_inner(stream, settings)).await {
        Ok(Ok(stream)) => Ok(stream),
        // rustls has told the peer what was wrong.
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(Some(Refusal::Tls)),
        Ok(Err(_)) => Err(None),
        Err(_) => Err(Some(Refusal::Timeout)),
    }
}

async fn accept_inner(mut stream: TcpStream, settings: &Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [HANDSHAKE];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_alphabetic() {
        // The kernel answers what is left unread with a reset, which could overtake the answer.
        let _ = stream.read(&mut [0; 512]).await?;
        stream.write_all(PLAIN_HTTP).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    TlsAcceptor::from(Arc::clone(settings)).accept(stream).await
}
