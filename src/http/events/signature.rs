//! The signature of a request, as the Standard Webhooks specify: HMAC-SHA256 of its id, its time and its body.

use crate::config::WebhookSecret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use ring::hmac;
use std::fmt;

/// Signs requests.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(secret: &WebhookSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.key()))
    }

    /// Returns the headers of a request that is sent at this time, in seconds since 1970. The time is signed too, so
    /// that a request that an attacker keeps is worthless later.
    pub(super) fn headers(&self, id: &str, seconds: u64, body: &[u8]) -> HeaderMap {
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        let signature = format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, &signed)));
        let lines = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        // All of them are visible ASCII.
        let valued = lines.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)));
        let mut headers = HeaderMap::new();
        for (name, value) in valued {
            headers.insert(name, value);
        }
        headers
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, so that its libraries verify what the hub signs.
    #[test]
    fn signature_is_that_of_the_specification() {
        let signer = Signer::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap());
        let headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers["webhook-signature"], signature);
        assert_eq!((&headers["webhook-timestamp"], headers.len()), (&HeaderValue::from_static("1614265330"), 3));
    }
}
