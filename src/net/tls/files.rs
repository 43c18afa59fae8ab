//! The files of a certificate: a chain and a private key as PEM, and what the files are if they are something else.

use super::error::TlsError;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// The flag of the chain.
pub(super) const CHAIN: &str = "--tls-certificate";

/// The flag of the key.
pub(super) const KEY: &str = "--tls-key";

/// What begins some files of Windows editors: the byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Algorithms that keys have and the TLS library has not: a name, and the object identifier as it is encoded.
const UNSUPPORTED: [(&str, &[u8]); 8] = [
    ("is on the curve P-521", b"\x06\x05\x2b\x81\x04\x00\x23"),
    ("is on the curve P-224", b"\x06\x05\x2b\x81\x04\x00\x21"),
    ("is on the curve secp256k1", b"\x06\x05\x2b\x81\x04\x00\x0a"),
    ("is on a Brainpool curve", b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01"),
    ("is of the kind Ed448", b"\x06\x03\x2b\x65\x71"),
    ("is of the kind X25519, which cannot sign", b"\x06\x03\x2b\x65\x6e"),
    ("is of the kind DSA", b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01"),
    ("is of the kind RSA-PSS", b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"),
];

/// Reads a chain of certificates; at least one is returned.
///
/// # Errors
///
/// [`TlsError::File`] says what the file is instead.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |reason: String| TlsError::File { flag: CHAIN, path: path.to_owned(), reason };
    let bytes = read(path).map_err(refuse)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| refuse(format!("it is not valid PEM: {error}")))?;
    if chain.is_empty() {
        let advice = match is_der(&bytes) {
            true => der_advice("x509", path),
            false => "it contains no certificate; give the chain as PEM, the server's own first".to_owned(),
        };
        return Err(refuse(advice));
    }
    Ok(chain)
}

/// Reads a private key.
///
/// # Errors
///
/// [`TlsError::File`] says what the file is instead.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let refuse = |reason: String| TlsError::File { flag: KEY, path: path.to_owned(), reason };
    let bytes = read(path).map_err(refuse)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| refuse(explain_no_key(&bytes, path, &error)))
}

/// Says why the TLS library does not take a key, and how to make one that it takes.
pub(super) fn explain_unsupported(key: &PrivateKeyDer<'_>) -> String {
    let encoded = key.secret_der();
    let contains = |identifier: &[u8]| encoded.windows(identifier.len()).any(|window| window == identifier);
    let found = UNSUPPORTED.iter().find(|(_, identifier)| contains(identifier)).map(|(name, _)| *name);
    // PKCS #1 is RSA and has no identifier.
    let is_rsa = matches!(key, PrivateKeyDer::Pkcs1(_)) || contains(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
    let what = match found {
        Some(name) => format!("the key {name}, which TLS does not support here"),
        None if is_rsa => "the RSA key is damaged, or its length is not between 2048 and 4096 bits".to_owned(),
        None => "the key is damaged, or of a kind that TLS does not support here".to_owned(),
    };
    format!(
        "{what}; make another one, and have a certificate issued for it: openssl genpkey -algorithm EC -pkeyopt \
         ec_paramgen_curve:P-256 -out key.pem"
    )
}

/// Reads a file, without the byte order marks that editors, and `cat` of their files, leave in it.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(format!("it is UTF-16; convert it: iconv -f UTF-16 -t ASCII {} > plain.pem", path.display()));
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(BYTE_ORDER_MARK) {
            Some(after_mark) => rest = after_mark,
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    Ok(plain)
}

/// Says what a file is that contains no key which can be read.
fn explain_no_key(bytes: &[u8], path: &Path, error: &Error) -> String {
    let text = String::from_utf8_lossy(bytes);
    let path_shown = path.display();
    let has = |marker: &str| text.contains(marker);
    if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("Proc-Type: 4,ENCRYPTED") {
        format!(
            "the key is encrypted, and a hub cannot ask for its password; decrypt it: openssl pkey -in {path_shown} \
             -out plain.pem"
        )
    } else if has("-----BEGIN OPENSSH PRIVATE KEY-----") {
        "it is a key of OpenSSH; give the private key of the certificate".to_owned()
    } else if has("-----BEGIN PUBLIC KEY-----") {
        "it contains no private key but a public one; give the private key of the certificate".to_owned()
    } else if is_der(bytes) {
        der_advice("pkey", path)
    } else if matches!(error, Error::NoItemsFound) {
        "it contains no private key; give PEM, as in -----BEGIN PRIVATE KEY-----".to_owned()
    } else {
        format!("it is not valid PEM: {error}")
    }
}

/// Returns whether a file begins as DER does, and so PKCS #12: with a sequence.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|length| *length >= 0x20)
}

fn der_advice(command: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "it is DER and not PEM; convert it: openssl {command} -inform DER -in {path} -out converted.pem, or for a .p12 \
         or .pfx file: openssl pkcs12 -in {path} -nodes -out converted.pem"
    )
}
