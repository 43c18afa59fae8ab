//! The chain: which certificate is the server's own, and whether each one is followed by its issuer.

use super::error::TlsError;
use super::files::{CHAIN, KEY, explain_unsupported, read_chain, read_key};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::path::Path;
use x509_cert::certificate::Version;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::BasicConstraints;

/// A chain with its key, and the server's own certificate.
pub(super) struct Chain {
    pub(super) key: CertifiedKey,
    pub(super) own: x509_cert::Certificate,
}

/// Loads a chain, the server's own certificate first, and its key, both as PEM.
///
/// # Errors
///
/// [`TlsError`] names the file, what is wrong, and what to do.
pub(super) fn load(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Chain, TlsError> {
    let refuse = |flag, path: &Path, reason: String| TlsError::File { flag, path: path.to_owned(), reason };
    let encoded = read_chain(certificate)?;
    let parsed = encoded.iter().enumerate().map(|(index, one)| {
        let error = |error| refuse(CHAIN, certificate, format!("its {} cannot be read: {error}", ordinal(index)));
        x509_cert::Certificate::from_der(one).map_err(error)
    });
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let private = read_key(key)?;
    let unsupported = explain_unsupported(&private);
    let signing = provider.key_provider.load_private_key(private).map_err(|_| refuse(KEY, key, unsupported))?;
    let public = signing.public_key().map(|public| public.to_vec());
    let is_own = |one: &x509_cert::Certificate| {
        let encoded = one.tbs_certificate().subject_public_key_info().to_der().ok();
        public.is_none() || encoded == public
    };
    match parsed.iter().position(is_own) {
        Some(0) => {}
        Some(index) => return Err(refuse(CHAIN, certificate, wrong_first(index, key))),
        None if parsed.first().is_some_and(is_authority) => {
            return Err(refuse(CHAIN, certificate, missing_own(&parsed[0], certificate, key)));
        }
        None => {
            let reason = format!(
                "the key is that of another certificate; compare what these print: openssl x509 -in {} -noout -pubkey; \
                 openssl pkey -in {} -pubout",
                certificate.display(),
                key.display()
            );
            return Err(TlsError::Unfit { key: key.to_owned(), certificate: certificate.to_owned(), reason });
        }
    }
    check_order(&parsed).map_err(|reason| refuse(CHAIN, certificate, reason))?;
    pair(encoded, parsed, signing, certificate, key)
}

fn pair(
    encoded: Vec<CertificateDer<'static>>,
    parsed: Vec<x509_cert::Certificate>,
    signing: std::sync::Arc<dyn rustls::sign::SigningKey>,
    certificate: &Path,
    key: &Path,
) -> Result<Chain, TlsError> {
    let refuse = |reason: String| TlsError::File { flag: CHAIN, path: certificate.to_owned(), reason };
    let own = parsed.into_iter().next().ok_or_else(|| refuse("it contains no certificate".to_owned()))?;
    if own.tbs_certificate().version() != Version::V3 {
        return Err(refuse(
            "its first certificate is of X.509 version 1, which clients refuse; have one of version 3 issued, with the \
             name of the host: openssl req -x509 -key KEY -subj /CN=HOST -addext subjectAltName=DNS:HOST -out chain.pem"
                .to_owned(),
        ));
    }
    let pair = CertifiedKey::new(encoded, signing);
    let unfit = |reason: String| TlsError::Unfit { key: key.to_owned(), certificate: certificate.to_owned(), reason };
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Chain { key: pair, own })
        }
        Err(error) => Err(unfit(error.to_string())),
    }
}

fn ordinal(index: usize) -> String {
    if index == 0 { "first certificate".to_owned() } else { format!("certificate number {}", index + 1) }
}

/// Returns whether a certificate may issue others.
fn is_authority(certificate: &x509_cert::Certificate) -> bool {
    let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
    constraints.is_ok_and(|found| found.is_some_and(|(_, constraints)| constraints.ca))
}

fn wrong_first(index: usize, key: &Path) -> String {
    format!(
        "the chain is in the wrong order: the server's own certificate, which --tls-key {} belongs to, is number {} \
         and has to be the first; put it first, then the one that issued it: cat server.pem intermediate.pem > \
         chain.pem",
        key.display(),
        index + 1
    )
}

fn missing_own(first: &x509_cert::Certificate, certificate: &Path, key: &Path) -> String {
    format!(
        "the server's own certificate is missing: the first one is that of the authority {}, and none belongs to \
         --tls-key {}; put the server's own first: cat server.pem {} > chain.pem",
        first.tbs_certificate().subject(),
        key.display(),
        certificate.display()
    )
}

/// Checks that each certificate is followed by its issuer, if the file has it (RFC 8446 section 4.4.2).
fn check_order(chain: &[x509_cert::Certificate]) -> Result<(), String> {
    for (index, one) in chain.iter().enumerate().skip(1) {
        let names = |one: &x509_cert::Certificate| {
            let signed = one.tbs_certificate();
            (signed.issuer().clone(), signed.subject().clone())
        };
        if chain[..index].contains(one) {
            continue;
        }
        let (previous_issuer, _) = names(&chain[index - 1]);
        let issued_one_before = chain[..index].iter().any(|before| names(before).0 == names(one).1);
        let comes_later = chain[index..].iter().skip(1).any(|later| names(later).1 == previous_issuer);
        if !issued_one_before && comes_later {
            return Err(format!(
                "the chain is in the wrong order: certificate number {} did not issue the one before it, a later one \
                 did; put each certificate before the one that issued it: cat server.pem intermediate.pem root.pem > \
                 chain.pem",
                index + 1
            ));
        }
    }
    Ok(())
}
