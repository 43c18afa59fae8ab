//! The TLS handshake of a new connection, with a time limit and a response to clients that send plain HTTP.

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

/// The first byte of every TLS connection: content type `handshake`, RFC 8446 section 5.1.
const HANDSHAKE: u8 = 22;

/// The response to a plain HTTP request.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
    \r\nBad request: this address is encrypted; use https:// or wss://\n";

/// Makes a handshake.
///
/// # Errors
///
/// The reason that the metrics count the refusal under; `None` if the peer closed the connection, as the health checks
/// of balancers do.
///
/// # Cancel safety
///
/// Cancel safe: dropping the future closes the connection.
pub(crate) async fn accept(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    handshake_timeout: Duration,
) -> Result<TlsStream<TcpStream>, Option<Refusal>> {
    match timeout(handshake_timeout, accept_inner(stream, config)).await {
        Ok(Ok(stream)) => Ok(stream),
        // rustls has sent the peer an alert.
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(Some(Refusal::Tls)),
        Ok(Err(_)) => Err(None),
        Err(_) => Err(Some(Refusal::Timeout)),
    }
}

async fn accept_inner(mut stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [HANDSHAKE];
    stream.peek(&mut first).await?;
    // A method of HTTP. rustls would respond with an alert, which says nothing to a person with a browser.
    if first[0].is_ascii_alphabetic() {
        // A close with unread bytes resets the connection, which could destroy the response on its way.
        let _ = stream.read(&mut [0; 512]).await?;
        stream.write_all(PLAIN_HTTP).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    TlsAcceptor::from(Arc::clone(config)).accept(stream).await
}
