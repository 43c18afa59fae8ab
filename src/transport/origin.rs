//! An origin check: a browser may only connect from a page of this very host.
//!
//! Browsers send cookies and reach private networks on behalf of any page, so the server has to refuse foreign pages,
//! RFC 6455 section 10.2. Programs send no `Origin` and are not concerned.

use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, header};

/// Returns whether the request comes from no page, or from a page of the host that it was sent to.
pub(super) fn is_same_host(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            let authority = origin.as_ref().and_then(Uri::authority).map(Authority::as_str);
            matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        is_same_host(&headers)
    }

    /// A foreign page that got through could speak for whoever looks at it.
    #[test]
    fn foreign_pages_are_refused_and_own_pages_and_programs_are_not() {
        assert!(check(None, "example.com"));
        assert!(check(Some("https://example.com"), "example.com"));
        assert!(check(Some("http://EXAMPLE.com:8080"), "example.com:8080"));
        for foreign in
            ["https://example.org", "http://example.com:81", "null", "file://", "https://example.com.evil.test", "//x"]
        {
            assert!(!check(Some(foreign), "example.com"), "{foreign}");
        }
    }
}
