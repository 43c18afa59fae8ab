//! A token key: verifies signatures of one algorithm. Nothing that a token says can change which.

use super::error::KeyError;
use super::public_key::PublicKey;
use crate::config::TokenAlgorithm;
use ring::hmac;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use std::fmt;

/// Fewest and most bits of an RSA key: what RFC 7518 section 3.3 demands, and what the library verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that verifies tokens.
pub struct TokenKey {
    kid: Option<String>,
    algorithm: TokenAlgorithm,
    material: Material,
}

/// The key itself, in the form of its algorithm.
enum Material {
    Secret(hmac::Key),
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
    Point(UnparsedPublicKey<Vec<u8>>),
}

impl TokenKey {
    /// Returns a key that both sides know. Whether it is long enough, the settings have checked.
    ///
    /// # Errors
    ///
    /// [`KeyError::Kind`] for an algorithm that needs a public key.
    pub fn from_secret(kid: Option<String>, algorithm: TokenAlgorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let hash = hmac_of(algorithm).ok_or_else(|| mismatch(algorithm, "secret"))?;
        Ok(Self { kid, algorithm, material: Material::Secret(hmac::Key::new(hash, secret)) })
    }

    /// Returns a public key, whose private half only the issuer knows.
    pub(super) fn from_public(
        kid: Option<String>,
        algorithm: TokenAlgorithm,
        key: PublicKey,
    ) -> Result<Self, KeyError> {
        use TokenAlgorithm::{EdDSA, Es256, Es384};
        let found = key.kind();
        let material = match (algorithm, key) {
            (_, PublicKey::Rsa { n, e }) => {
                let parameters = rsa_of(algorithm).ok_or_else(|| mismatch(algorithm, found))?;
                check_rsa_size(&n)?;
                Material::Rsa(parameters, RsaPublicKeyComponents { n, e })
            }
            (Es256, PublicKey::P256(point)) => point_of(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Es384, PublicKey::P384(point)) => point_of(&signature::ECDSA_P384_SHA384_FIXED, point),
            (EdDSA, PublicKey::Ed25519(point)) => point_of(&signature::ED25519, point),
            _ => return Err(mismatch(algorithm, found)),
        };
        Ok(Self { kid, algorithm, material })
    }

    /// Returns the ID that tokens name it by; `None` if they name none.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns the only algorithm that it verifies.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Returns whether a signature is that of a message, in constant time for a secret.
    pub(super) fn is_signature(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Rsa(parameters, key) => key.verify(parameters, message, signature).is_ok(),
            Material::Point(key) => key.verify(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn point_of(algorithm: &'static dyn signature::VerificationAlgorithm, point: Vec<u8>) -> Material {
    Material::Point(UnparsedPublicKey::new(algorithm, point))
}

/// Returns the hash of an algorithm with a secret.
pub(super) fn hmac_of(algorithm: TokenAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        TokenAlgorithm::Hs256 => Some(hmac::HMAC_SHA256),
        TokenAlgorithm::Hs384 => Some(hmac::HMAC_SHA384),
        TokenAlgorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_of(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        TokenAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        TokenAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        TokenAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        TokenAlgorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        TokenAlgorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        TokenAlgorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn check_rsa_size(modulus: &[u8]) -> Result<(), KeyError> {
    let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if RSA_BITS.contains(&bits) { Ok(()) } else { Err(KeyError::RsaSize(bits)) }
}

fn mismatch(algorithm: TokenAlgorithm, found: &'static str) -> KeyError {
    let needed = match algorithm {
        TokenAlgorithm::Hs256 | TokenAlgorithm::Hs384 | TokenAlgorithm::Hs512 => "secret",
        TokenAlgorithm::Es256 => "P-256",
        TokenAlgorithm::Es384 => "P-384",
        TokenAlgorithm::EdDSA => "Ed25519",
        _ => "RSA",
    };
    KeyError::Kind { algorithm: algorithm.name(), found, needed }
}
