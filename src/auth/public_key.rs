//! A public key: read from PEM, with its kind, so that a key of a wrong kind is found when it is configured and not
//! when it verifies nothing.

use super::error::KeyError;
use rustls::pki_types::pem::{PemObject, SectionKind};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Header, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A public key of a kind that can verify.
pub(super) enum PublicKey {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Returns the name of its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
        }
    }

    /// Reads the first key or certificate of a PEM text.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let Ok((kind, der)) = <(SectionKind, Vec<u8>)>::from_pem_slice(text) else { return Err(KeyError::NotPem) };
        match kind {
            SectionKind::PublicKey => {
                Self::from_info(&SubjectPublicKeyInfoOwned::from_der(&der).map_err(|_| KeyError::NotPem)?)
            }
            SectionKind::Certificate => {
                let certificate = Certificate::from_der(&der).map_err(|_| KeyError::NotPem)?;
                Self::from_info(certificate.tbs_certificate().subject_public_key_info())
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => Err(KeyError::Private),
            _ => Err(KeyError::NotPem),
        }
    }

    /// Reads the structure of RFC 5280 section 4.1.2.7.
    fn from_info(info: &SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        let bits = info.subject_public_key.as_bytes().ok_or(KeyError::NotPem)?;
        let curve = || info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        match info.algorithm.oid {
            RSA => from_pkcs1(bits),
            EC if curve() == Some(P256) => Ok(Self::P256(bits.to_vec())),
            EC if curve() == Some(P384) => Ok(Self::P384(bits.to_vec())),
            ED25519 => Ok(Self::Ed25519(bits.to_vec())),
            _ => Err(KeyError::UnknownKind),
        }
    }
}

/// Reads modulus and exponent, RFC 8017 appendix A.1.1.
fn from_pkcs1(der: &[u8]) -> Result<PublicKey, KeyError> {
    let read = || {
        let mut reader = SliceReader::new(der)?;
        Header::decode(&mut reader)?;
        let (n, e) = (UintRef::decode(&mut reader)?, UintRef::decode(&mut reader)?);
        x509_cert::der::Result::Ok(PublicKey::Rsa { n: n.as_bytes().to_vec(), e: e.as_bytes().to_vec() })
    };
    read().map_err(|_| KeyError::NotPem)
}
