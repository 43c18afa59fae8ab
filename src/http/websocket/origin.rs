//! An origin check: a browser may connect from a page of this very host, or of one that the operator allows.
//!
//! Browsers send cookies and reach private networks on behalf of any page, so the server has to refuse foreign pages,
//! RFC 6455 section 10.2. Programs send no `Origin` and are not concerned.

use crate::config::OriginPattern;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, header};

/// Characters of a foreign origin that are repeated in the refusal.
const REPEATED_MAX: usize = 80;

/// Checks the origin of a request; returns the one that may not connect, fit to be shown.
pub(crate) fn check(headers: &HeaderMap, allowed: &[OriginPattern]) -> Result<(), String> {
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
    // Only what has a scheme is an origin: `null` and the like are nobody's.
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

    /// A foreign page that got through could speak for whoever looks at it. Threats row 1.
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

    /// What a stranger wrote is shown as text, and not at length.
    #[test]
    fn refused_origin_is_repeated_cut_and_without_controls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, format!("https://\t{}", "x".repeat(200)).parse().unwrap());
        let shown = check(&headers, &[]).unwrap_err();
        assert!(shown.starts_with("https://?xx") && shown.len() == 80, "{shown}");
        headers.append(header::ORIGIN, "https://b".parse().unwrap());
        assert!(check(&headers, &[]).is_err(), "two are one too many");
    }
}
