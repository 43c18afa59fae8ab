//! Authentication: whether a token (JWT, RFC 7519) is genuine, and what it says of its client.
//!
//! ```text
//! settings, JWK Set --> TokenKey (its algorithm is fixed) --+
//!                                                           v
//! token --> Parts: header, claims, signature --> Verifier --> Claims: user, expiry, channels
//! ```
//!
//! Nothing in here reads the clock or a socket: `now` is an argument, in seconds since the Unix epoch.
//!
//! # Invariants
//!
//! - The key decides the algorithm. What the header of a token says is only compared with it.
//! - No error repeats a part of a token or of a key.

pub mod claims;
pub mod error;
pub mod jwk;
pub mod key;
pub mod parts;
mod public_key;
pub mod sign;
pub mod verifier;

pub use claims::{Claims, UserId};
pub use error::{KeyError, TokenError};
pub use key::TokenKey;
pub use verifier::Verifier;
