//! The origin check: browsers may connect from pages of this host, and of hosts that the operator allows.
//!
//! Browsers send cookies and reach private networks on behalf of any page, so the server has to refuse the pages of
//! other hosts, RFC 6455 section 10.2. Other programs send no `Origin` and are accepted.

use crate::config::OriginPattern;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, header};

/// Characters of a refused origin that the response repeats.
const REPEATED_MAX: usize = 80;

/// Checks the origin of a request.
///
/// # Errors
///
/// The origin that may not connect, shortened and without control characters.
pub(super) fn check(headers: &HeaderMap, allowed: &[OriginPattern]) -> Result<(), String> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let text = String::from_utf8_lossy(origin.as_bytes());
    if origins.next().is_none() && is_allowed(&text, headers, allowed) {
        return Ok(());
    }
    Err(text.chars().take(REPEATED_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect())
}

fn is_allowed(origin: &str, headers: &HeaderMap, allowed: &[OriginPattern]) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    // Opaque origins such as `null`, and those of files, belong to no host.
    if !matches!(origin.scheme_str(), Some("http" | "https")) {
        return false;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.authority().map(Authority::as_str);
    let is_same_host = matches!((authority, host), (Some(one), Some(host)) if one.eq_ignore_ascii_case(host));
    is_same_host || allowed.iter().any(|pattern| pattern.allows(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origin: Option<&str>, host: &str, allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let allowed: Vec<_> = allowed.iter().map(|pattern| pattern.parse().unwrap()).collect();
        check(&headers, &allowed).is_ok()
    }

    /// A page that is accepted can act for the user who looks at it. docs/threats.md, row 1.
    #[test]
    fn foreign_pages_are_refused_and_own_pages_and_programs_are_not() {
        assert!(allows(None, "example.com", &[]));
        assert!(allows(Some("https://example.com"), "example.com", &[]));
        assert!(allows(Some("http://EXAMPLE.com:8080"), "example.com:8080", &[]));
        for foreign in
            ["https://example.org", "http://example.com:81", "null", "file://", "https://example.com.evil.test", "//x"]
        {
            assert!(!allows(Some(foreign), "example.com", &[]), "{foreign}");
        }
    }

    #[test]
    fn allowed_origins_connect_and_their_neighbours_do_not() {
        let allowed = &["https://app.example", "https://*.example.com"];
        assert!(allows(Some("https://app.example"), "hub.internal:8080", allowed));
        assert!(allows(Some("https://a.b.example.com"), "hub.internal:8080", allowed));
        for foreign in ["http://app.example", "https://app.example:444", "https://evilexample.com", "null", "file://"] {
            assert!(!allows(Some(foreign), "hub.internal:8080", allowed), "{foreign}");
        }
    }

    /// The origin is written by the client, and the refusal may be logged and shown.
    #[test]
    fn refused_origin_is_repeated_cut_and_without_controls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, format!("https://\t{}", "x".repeat(200)).parse().unwrap());
        let shown = check(&headers, &[]).unwrap_err();
        assert!(shown.starts_with("https://?xx") && shown.len() == 80, "{shown}");
        headers.append(header::ORIGIN, "https://b".parse().unwrap());
        assert!(check(&headers, &[]).is_err(), "two origins are refused");
    }
}
