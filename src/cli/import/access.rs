//! Access: origins of pages, keys of backends, and who may read the metrics.

use super::conversion::Conversion;
use super::draft::Literal::{List, Text};
use super::reasons;
use crate::config::{ApiKey, OriginPattern};

impl Conversion {
    /// Sets who may do what. `has_internal` says whether Centrifugo has an address for operators.
    pub(super) fn convert_access(&mut self, has_internal: bool) {
        self.convert_origins();
        let disabled = self.switch("http_api.disabled");
        match (self.text("http_api.key"), disabled) {
            (key, Some(disabled)) => {
                self.notes.miss(disabled.name, reasons::API_OFF);
                if let Some(key) = key {
                    self.notes.cover(&key.name, "the API is disabled in the file");
                }
            }
            (Some(key), None) => self.convert_api_key(&key.value, &key.name),
            (None, None) => {}
        }
        let Some(metrics) = self.switch("prometheus.enabled") else { return };
        if has_internal {
            self.notes.cover(&metrics.name, "/metrics is at internal_addr, and at addr with a key if there is none");
        } else {
            self.set("metrics", Text("public".to_owned()), &metrics.name);
        }
    }

    /// Sets the origins that can be said here: an origin, or all subdomains of one.
    fn convert_origins(&mut self) {
        let Some(origins) = self.list("client.allowed_origins") else { return };
        let is_origin = |text: &String| text.parse::<OriginPattern>().is_ok();
        let (taken, refused): (Vec<_>, Vec<_>) = origins.value.into_iter().partition(is_origin);
        for text in refused {
            let rule = match text.as_str() {
                "*" => "every page of the web could use the cookies and the network of its visitors",
                _ => "an origin is https://example.com, or https://*.example.com for every subdomain",
            };
            let text = format!("{text:?} is left out: {rule}. List the origins of your pages in allowed_origins.");
            self.notes.refuse(&origins.name, text);
        }
        if !taken.is_empty() {
            self.set("allowed_origins", List(taken), &origins.name);
        }
    }

    fn convert_api_key(&mut self, key: &str, name: &str) {
        if key.trim() != key {
            let text = "it begins or ends with white space, which a file here cannot hold. Make a new one with \
                        `openssl rand -hex 32`, as api_keys of [api].";
            self.notes.refuse(name, text);
            return;
        }
        if self.set("api_keys", List(vec![key.to_owned()]), name) && key.parse().is_ok_and(|key: ApiKey| key.is_short())
        {
            self.notes.remark(format!(
                "{name}: the key can be guessed, and the log warns of it. Replace it by one of `openssl rand -hex 32`."
            ));
        }
    }
}
