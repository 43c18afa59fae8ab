//! The origin check: browsers may connect from pages of this host, and of hosts that the operator allows.
//!
//! Browsers send cookies and reach private networks on behalf of any page, so the server has to refuse the pages of
//! other hosts, RFC 6455 section 10.2. Other programs send no `Origin` and are accepted.

use crate::config::{HostPort, Origin, OriginPattern};
use crate::http::error::RequestError;
use crate::http::host::HostRules;
use hyper::{HeaderMap, header};

/// Characters of a refused origin that the response repeats.
const REPEATED_MAX: usize = 80;

/// Checks the origin of a request for the host `requested`.
///
/// # Errors
///
/// [`RequestError::ForeignOrigin`] with the origin that may not connect, shortened and without control characters;
/// [`RequestError::ForeignHost`] for a page of a host that is not believed to be this one.
pub(super) fn check(
    headers: &HeaderMap,
    requested: Option<&HostPort>,
    hosts: HostRules<'_>,
    allowed: &[OriginPattern],
) -> Result<(), RequestError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(line) = origins.next() else { return Ok(()) };
    let text = String::from_utf8_lossy(line.as_bytes());
    let origin = Origin::parse(&text).filter(|_| origins.next().is_none());
    let is_allowed = |origin: &Origin| allowed.iter().any(|pattern| pattern.allows(origin));
    if origin.as_ref().is_some_and(is_allowed) {
        return Ok(());
    }
    let host = requested.filter(|host| origin.as_ref().is_some_and(|origin| origin.is_of_host(host)));
    match host {
        Some(host) if hosts.is_own(host) => Ok(()),
        Some(host) => Err(RequestError::ForeignHost(repeated(&host.host))),
        None => Err(RequestError::ForeignOrigin(repeated(&text))),
    }
}

/// Returns text of the client as a response may repeat it.
fn repeated(text: &str) -> String {
    text.chars().take(REPEATED_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(origin: &str, host: &str, hosts: HostRules<'_>, allowed: &[&str]) -> Result<(), RequestError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        let allowed: Vec<_> = allowed.iter().map(|pattern| pattern.parse().unwrap()).collect();
        check(&headers, HostPort::parse(host).as_ref(), hosts, &allowed)
    }

    fn allows(origin: &str, host: &str, allowed: &[&str]) -> bool {
        checked(origin, host, HostRules { allowed: &[], is_loopback: false }, allowed).is_ok()
    }

    /// A page that is accepted can act for the user who looks at it. docs/threats.md, row 1.
    #[test]
    fn foreign_pages_are_refused_and_own_pages_and_programs_are_not() {
        let rules = HostRules { allowed: &[], is_loopback: true };
        assert_eq!(check(&HeaderMap::new(), HostPort::parse("example.com").as_ref(), rules, &[]), Ok(()));
        assert!(allows("https://example.com", "example.com", &[]));
        assert!(allows("http://EXAMPLE.com:8080", "example.com:8080", &[]));
        for foreign in
            ["https://example.org", "http://example.com:81", "null", "file://", "https://example.com.evil.test", "//x"]
        {
            assert!(!allows(foreign, "example.com", &[]), "{foreign}");
        }
    }

    /// RFC 6454 section 4, RFC 9110 section 4.2.3: what proxies and browsers write differently is no difference.
    #[test]
    fn default_port_case_dot_and_form_of_ipv6_are_no_difference() {
        for (origin, host) in [
            ("http://chat.test", "chat.test:80"),
            ("https://chat.test", "chat.test:443"),
            ("http://chat.test:80", "chat.test"),
            ("https://chat.test:443", "chat.test"),
            ("https://chat.test", "Chat.Test."),
            ("https://chat.test.", "chat.test"),
            ("https://chat.test", "chat.test:"),
            ("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
        ] {
            assert!(allows(origin, host, &[]), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://chat.test", "chat.test:443"),
            ("https://chat.test", "chat.test:80"),
            ("http://chat.test", "chat.test:8080"),
            ("http://chat.test:8080", "chat.test"),
            ("http://chat.test..", "chat.test"),
            ("http://user@chat.test", "chat.test"),
            ("app://chat.test", "chat.test"),
            ("ws://chat.test", "chat.test"),
        ] {
            assert!(!allows(origin, host, &[]), "{origin} {host}");
        }
    }

    /// A page under a name that was pointed at 127.0.0.1 is of the same host as its request, and not ours.
    #[test]
    fn on_loopback_only_names_of_this_machine_and_listed_ones_are_this_host() {
        let listed = ["chat.example".parse().unwrap()];
        let check = |name: &str, allowed, is_loopback| {
            let origin = format!("http://{name}:8080");
            checked(&origin, &format!("{name}:8080"), HostRules { allowed, is_loopback }, &[])
        };
        for name in ["localhost", "app.localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(check(name, &[], true), Ok(()), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example", "192.0.2.1"] {
            assert_eq!(check(name, &[], true), Err(RequestError::ForeignHost(name.to_owned())), "{name}");
            assert_eq!(check(name, &[], false), Ok(()), "{name}");
        }
        assert_eq!(check("chat.example", &listed, true), Ok(()));
        assert_eq!(check("evil.example", &listed, true), Err(RequestError::ForeignHost("evil.example".to_owned())));
    }

    #[test]
    fn allowed_origins_connect_and_their_neighbours_do_not() {
        let allowed = &["https://app.example", "https://*.example.com", "capacitor://localhost"];
        assert!(allows("https://app.example", "hub.internal:8080", allowed));
        assert!(allows("https://a.b.example.com", "hub.internal:8080", allowed));
        assert!(allows("capacitor://localhost", "hub.internal:8080", allowed));
        for foreign in ["http://app.example", "https://app.example:444", "https://evilexample.com", "null", "file://"] {
            assert!(!allows(foreign, "hub.internal:8080", allowed), "{foreign}");
        }
        assert!(allows("null", "hub.internal:8080", &["null"]));
    }

    /// The origin is written by the client, and the refusal may be logged and shown.
    #[test]
    fn refused_origin_is_repeated_cut_and_without_controls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, format!("https://\t{}", "x".repeat(200)).parse().unwrap());
        let rules = HostRules { allowed: &[], is_loopback: false };
        let Err(RequestError::ForeignOrigin(shown)) = check(&headers, None, rules, &[]) else {
            panic!("it is refused")
        };
        assert!(shown.starts_with("https://?xx") && shown.len() == 80, "{shown}");
        let b = HostPort::parse("b");
        headers.insert(header::ORIGIN, "https://b".parse().unwrap());
        assert_eq!(check(&headers, b.as_ref(), rules, &[]), Ok(()));
        headers.append(header::ORIGIN, "https://b".parse().unwrap());
        assert!(check(&headers, b.as_ref(), rules, &[]).is_err(), "two origins are refused");
    }
}
