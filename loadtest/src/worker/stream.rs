//! A stream: a client's socket, plain or encrypted, which does not block.
//!
//! The server is on this machine, so whatever certificate it shows is believed: what is measured is the price of
//! encryption, not who is who.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, SignatureScheme};

use crate::wire::target::Target;

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    /// Boxed: most runs have none, and some have very many clients.
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Takes a socket whose TCP handshake has begun; that of TLS follows with the first bytes.
    ///
    /// # Errors
    ///
    /// None in practice: the settings are complete.
    pub(crate) fn new(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        let tls = tls.map(Tls::begin).transpose().map_err(io::Error::other)?;
        Ok(Self { socket, tls: tls.map(Box::new) })
    }

    pub(crate) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// True while something encrypted waits for the socket.
    pub(crate) fn is_held_back(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what is encrypted and waits.
    pub(crate) fn push(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| push(tls, &mut self.socket))
    }
}

fn push(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(())
}

/// A full socket keeps what is encrypted; the next edge writes it.
fn unless_full(pushed: io::Result<()>) -> io::Result<()> {
    pushed.or_else(|error| if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
}

impl Read for Stream {
    /// As of a plain socket, a short read says that nothing more is there.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        let mut taken = 0;
        while taken < buffer.len() {
            match tls.reader().read(&mut buffer[taken..]) {
                Ok(0) => break,
                Ok(more) => taken += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => match tls.read_tls(&mut self.socket) {
                    Ok(0) => break,
                    Ok(_) => {
                        tls.process_new_packets().map_err(io::Error::other)?;
                        unless_full(push(tls, &mut self.socket))?;
                    }
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => break,
                },
                // The end without a goodbye.
                Err(_) => break,
            }
        }
        Ok(taken)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        unless_full(push(tls, &mut self.socket))?;
        let taken = tls.writer().write(bytes)?;
        unless_full(push(tls, &mut self.socket))?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How TLS handshakes are begun.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) settings: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Tls {
    /// Returns how they are with a target; `None` if it is not encrypted.
    ///
    /// # Errors
    ///
    /// When the host can not be a server's name.
    pub(crate) fn with(target: &Target) -> Result<Option<Self>, String> {
        if !target.is_encrypted {
            return Ok(None);
        }
        let host = target.host.rsplit_once(':').map_or(target.host.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| error.to_string())?;
        let mut provider = ring::default_provider();
        // What browsers ask for first.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let settings = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let settings = settings.map_err(|error| error.to_string())?.dangerous();
        let believing = Arc::new(Believing(provider));
        let settings = settings.with_custom_certificate_verifier(believing).with_no_client_auth();
        Ok(Some(Self { settings: Arc::new(settings), name }))
    }

    fn begin(&self) -> Result<ClientConnection, TlsError> {
        ClientConnection::new(Arc::clone(&self.settings), self.name.clone())
    }
}

/// Believes any certificate whose key signs.
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
