//! Why a token is refused, and why a key cannot be used.

use thiserror::Error;

/// Longest token in bytes: as much as a request target may have, and more than any issuer needs for what is read of it.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Why a token is refused. The texts are fixed, so that nothing of a token can get into a log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TokenError {
    /// There is nothing to verify it with.
    #[error("no tokens are accepted here: there is neither a [[token_key]] nor a --jwks-url")]
    NoKeys,
    /// It has more bytes than [`TOKEN_BYTES_MAX`].
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is not a token.
    #[error("the token is not three parts in base64url, separated by dots, of which the first two are JSON objects")]
    Malformed,
    /// Two readers could read it differently.
    #[error("the token has a name twice in its header or in its claims")]
    Duplicate,
    /// It relies on an extension, RFC 7515 section 4.1.11.
    #[error("the token demands an extension in its header (crit), and none is supported")]
    Critical,
    /// Its algorithm is `none`.
    #[error("the token is not signed (alg none)")]
    Unsigned,
    /// No key has its ID, or none has no ID.
    #[error("no key has the ID (kid) that the token names")]
    UnknownKey,
    /// Its header names another algorithm than its key is for.
    #[error("the token names another algorithm (alg) than its key is for")]
    Algorithm,
    /// It was changed, or signed with another key.
    #[error("the signature of the token is wrong")]
    Signature,
    /// A claim is not what it has to be. Holds its name.
    #[error("the claim {0} of the token is missing or has a wrong type")]
    Claim(&'static str),
    /// Its time is over.
    #[error("the token has expired (exp)")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    /// A clock is wrong.
    #[error("the token is issued in the future (iat); compare the clocks")]
    IssuedInFuture,
    /// It is for another service.
    #[error("the token is not for this audience (aud)")]
    Audience,
    /// It is from another issuer.
    #[error("the token is not from this issuer (iss)")]
    Issuer,
}

/// Why a key cannot be used. The text names the key, and repeats nothing of it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum KeyError {
    /// The file of a public key cannot be read.
    #[error("its file cannot be read: {0}")]
    File(String),
    /// The text is a private key.
    #[error(
        "it is a private key, which belongs to the issuer of the tokens only; give its public key: openssl pkey -in \
         FILE -pubout"
    )]
    Private,
    /// The text is not a public key.
    #[error(
        "it is not a public key in PEM (BEGIN PUBLIC KEY or BEGIN CERTIFICATE); make one with: openssl pkey -in FILE \
         -pubout"
    )]
    NotPem,
    /// The key is of a kind that cannot verify here.
    #[error("it is neither RSA nor on the curves P-256, P-384 and Ed25519")]
    UnknownKind,
    /// The key is of another kind than its algorithm needs.
    #[error("it is of the kind {found}, and the algorithm {algorithm} needs {needed}")]
    Kind {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// Kind of the key.
        found: &'static str,
        /// Kind that the algorithm needs.
        needed: &'static str,
    },
    /// The key can be broken.
    #[error("it has {0} bits, and RSA keys need 2048 to 8192 (RFC 7518 section 3.3)")]
    RsaSize(usize),
    /// The text is not a JWK Set.
    #[error("the text is not a JWK Set: {{\"keys\": [...]}} (RFC 7517 section 5)")]
    NotJwkSet,
    /// One of the configured keys cannot be used.
    #[error("[[token_key]] number {number}: public_key: {error}")]
    Configured {
        /// Number of the table, from 1.
        number: usize,
        /// Why.
        error: Box<KeyError>,
    },
}
