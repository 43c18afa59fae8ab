//! A connection that the hub made, encrypted or not.

use crate::net::tls::Connector;
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connects to servers of the settings.
#[derive(Default)]
pub(crate) struct Dialer {
    /// Made with the first encrypted connection: reading the certificates of the system takes time and memory.
    connector: OnceLock<Connector>,
}

impl Dialer {
    /// Connects to a host. An encrypted server has to have a certificate for its name that the system trusts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(crate) async fn connect(&self, host: &str, port: u16, is_encrypted: bool) -> io::Result<OutboundStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        if !is_encrypted {
            return Ok(OutboundStream(Box::new(stream)));
        }
        let connector = self.connector.get_or_init(Connector::with_native_roots);
        Ok(OutboundStream(Box::new(connector.connect(host, stream).await?)))
    }
}

/// What both kinds of connections can do.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that the hub made.
pub(crate) struct OutboundStream(Box<dyn Duplex>);

impl AsyncRead for OutboundStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for OutboundStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Connection for OutboundStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
