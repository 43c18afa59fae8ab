//! Keys and tokens of tests: those of `make.py`, which openssl made, and forged ones.

#![allow(dead_code, reason = "each test file uses a part")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use throng::auth::Verifier;
use throng::config::{Config, TokenAlgorithm};

/// The secret of every HS algorithm in `tokens.txt`.
pub(crate) const SECRET: &str = "a secret of tests only; it has the sixty-four bytes of HS512 012";

/// Tokens of openssl, one per algorithm: `sub` is 42, `iat` 1,700,000,000 and `exp` 4,000,000,000.
pub(crate) const OPENSSL: &str = include_str!("tokens.txt");

const RSA: &str = include_str!("rsa.pem");
const P256: &str = include_str!("p256.pem");
const P384: &str = include_str!("p384.pem");
const ED25519: &str = include_str!("ed25519.pem");

/// Returns the public key of an algorithm as PEM; `None` for one with a secret.
pub(crate) fn public_key(algorithm: TokenAlgorithm) -> Option<&'static str> {
    match &algorithm.name()[..2] {
        "HS" => None,
        "RS" | "PS" => Some(include_str!("rsa.pub.pem")),
        _ if algorithm == TokenAlgorithm::Es256 => Some(include_str!("p256.pub.pem")),
        _ if algorithm == TokenAlgorithm::Es384 => Some(include_str!("p384.pub.pem")),
        _ => Some(include_str!("ed25519.pub.pem")),
    }
}

/// Returns the table of a key.
pub(crate) fn table(algorithm: TokenAlgorithm, kid: Option<&str>) -> String {
    let mut table = format!("[[token_key]]\nalgorithm = \"{}\"\n", algorithm.name());
    if let Some(kid) = kid {
        writeln!(table, "kid = \"{kid}\"").unwrap();
    }
    match public_key(algorithm) {
        Some(key) => writeln!(table, "public_key = \"\"\"\n{key}\"\"\"").unwrap(),
        None => writeln!(table, "secret = \"{SECRET}\"").unwrap(),
    }
    table
}

/// Returns the settings of a file.
pub(crate) fn config(file: &str) -> Config {
    Config::from_toml(file).unwrap_or_else(|error| panic!("{error}\n{file}"))
}

/// Returns the verifier of a file.
pub(crate) fn verifier(file: &str) -> Verifier {
    let config = config(file);
    Verifier::new(&config.tokens, &config.token_keys).unwrap_or_else(|error| panic!("{error}\n{file}"))
}

/// Returns the claims of a user that are valid from now on for an hour.
pub(crate) fn claims(user: &str) -> Value {
    json!({ "sub": user, "iat": now(), "exp": now() + 3600 })
}

/// Returns a token with these claims, signed with [`SECRET`].
pub(crate) fn token(claims: &Value) -> String {
    forge(&json!({ "alg": "HS256", "typ": "JWT" }), claims, |message| sign(TokenAlgorithm::Hs256, message))
}

/// Returns this moment in seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Returns a token with this header and these claims and any signature.
pub(crate) fn forge(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    assemble(&header.to_string(), &claims.to_string(), sign)
}

/// Returns a token of two texts and any signature.
pub(crate) fn assemble(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    format!("{message}.{}", encode(sign(message.as_bytes())))
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Signs with the private key, or the secret, of an algorithm.
pub(crate) fn sign(algorithm: TokenAlgorithm, message: &[u8]) -> Vec<u8> {
    sign_with(algorithm, SECRET.as_bytes(), message)
}

/// Signs; `secret` is for HS algorithms.
pub(crate) fn sign_with(algorithm: TokenAlgorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
        let key = RsaKeyPair::from_pkcs8(&der(RSA)).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(padding, &random, message, &mut signature).unwrap();
        signature
    };
    let ecdsa = |kind, pem| {
        let key = EcdsaKeyPair::from_pkcs8(kind, &der(pem), &random).unwrap();
        key.sign(&random, message).unwrap().as_ref().to_vec()
    };
    let hmac = |kind| hmac::sign(&hmac::Key::new(kind, secret), message).as_ref().to_vec();
    match algorithm {
        TokenAlgorithm::Hs256 => hmac(hmac::HMAC_SHA256),
        TokenAlgorithm::Hs384 => hmac(hmac::HMAC_SHA384),
        TokenAlgorithm::Hs512 => hmac(hmac::HMAC_SHA512),
        TokenAlgorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
        TokenAlgorithm::Rs384 => rsa(&RSA_PKCS1_SHA384),
        TokenAlgorithm::Rs512 => rsa(&RSA_PKCS1_SHA512),
        TokenAlgorithm::Ps256 => rsa(&RSA_PSS_SHA256),
        TokenAlgorithm::Ps384 => rsa(&RSA_PSS_SHA384),
        TokenAlgorithm::Ps512 => rsa(&RSA_PSS_SHA512),
        TokenAlgorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, P256),
        TokenAlgorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, P384),
        TokenAlgorithm::EdDSA => {
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(ED25519)).unwrap();
            key.sign(message).as_ref().to_vec()
        }
    }
}

fn der(pem: &str) -> Vec<u8> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_der().to_vec()
}
