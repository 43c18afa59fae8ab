//! The host that a request is for: exactly one, as RFC 9112 section 3.2 requires, and one that this hub serves.

use super::error::RequestError;
use crate::config::{HostPattern, HostPort};
use hyper::{Request, Version, header};

/// Returns the host that a request names; `None` only with HTTP/1.0, which has no `Host`.
///
/// # Errors
///
/// [`RequestError::BadRequest`] for none, several, or text that is no host.
pub(super) fn requested<B>(request: &Request<B>) -> Result<Option<HostPort>, RequestError> {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line),
        (None, None) if request.version() < Version::HTTP_11 => None,
        (None, None) | (Some(_), Some(_)) | (None, Some(_)) => {
            return Err(RequestError::BadRequest("exactly one Host header is required"));
        }
    };
    // A target that names a host itself overrides the header, RFC 9112 section 3.2.2.
    let named = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => line.map(|line| line.to_str().unwrap_or_default()),
    };
    let parse = |text| HostPort::parse(text).ok_or(RequestError::BadRequest("the Host header names no host"));
    named.map(parse).transpose()
}

/// How far the name in a request is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostRules<'a> {
    /// What `--allowed-hosts` lists.
    pub(crate) allowed: &'a [HostPattern],
    /// The request came over loopback and no trusted proxy forwarded it, so a browser on this machine may have been led
    /// here by a name that is not ours.
    pub(crate) is_loopback: bool,
}

impl HostRules<'_> {
    /// Checks that a request may be for this host.
    ///
    /// # Errors
    ///
    /// [`RequestError::UnknownHost`] for a host that the operator's list does not have.
    pub(super) fn check(self, requested: Option<&HostPort>) -> Result<(), RequestError> {
        if self.allowed.is_empty() || requested.is_some_and(|host| self.is_own(host)) {
            return Ok(());
        }
        Err(RequestError::UnknownHost(requested.map_or_else(|| "none".to_owned(), |host| host.host.clone())))
    }

    /// Returns whether a page that was loaded from the host was loaded from this hub.
    pub(super) fn is_own(self, requested: &HostPort) -> bool {
        let is_listed = self.allowed.iter().any(|pattern| pattern.allows(requested));
        is_listed || requested.is_loopback() && self.is_loopback || self.allowed.is_empty() && !self.is_loopback
    }
}
