//! The address of a NATS server.

use super::host::HostPort;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Port of NATS servers that say no other.
const PORT: u16 = 4222;

/// The address of a NATS server: `nats://HOST:PORT`, or `tls://HOST:PORT` for an encrypted connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NatsServer {
    host: String,
    port: u16,
    /// Whether the connection is encrypted even if the server does not ask for it.
    pub is_encrypted: bool,
}

/// Text that is not such an address.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NatsServerError {
    /// It names a user. The error does not repeat it: it may hold a password.
    #[error("a user and a password do not belong into the address of a server; write them into --nats-credentials")]
    User,
    /// It has another form.
    #[error("{text:?} is not the address of a NATS server such as nats://10.0.0.1:4222 or tls://nats.example.com:4222")]
    Malformed {
        /// The text.
        text: String,
    },
}

impl FromStr for NatsServer {
    type Err = NatsServerError;

    fn from_str(text: &str) -> Result<Self, NatsServerError> {
        let malformed = || NatsServerError::Malformed { text: text.to_owned() };
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        if rest.contains('@') {
            return Err(NatsServerError::User);
        }
        let is_encrypted = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(malformed()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let host = HostPort::parse(rest).ok_or_else(malformed)?;
        Ok(Self { host: host.host, port: host.port.unwrap_or(PORT), is_encrypted })
    }
}

impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "tls" } else { "nats" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_a_host_and_no_password() {
        for (text, expected) in [
            ("nats://10.0.0.1:4222", "nats://10.0.0.1:4222"),
            ("nats.example.com", "nats://nats.example.com:4222"),
            ("tls://nats.example.com/", "tls://nats.example.com:4222"),
            ("[::1]:4300", "nats://[::1]:4300"),
        ] {
            assert_eq!(text.parse::<NatsServer>().unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "http://x", "nats://", "nats://x:99999", "x/y"] {
            assert!(matches!(text.parse::<NatsServer>(), Err(NatsServerError::Malformed { .. })), "{text}");
        }
        let error = "nats://ann:secret@x".parse::<NatsServer>().unwrap_err();
        assert!(error.to_string().contains("--nats-credentials") && !error.to_string().contains("secret"));
    }
}
