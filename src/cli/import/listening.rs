//! Listening: addresses and TLS.

use super::conversion::{Conversion, DEFAULT, names};
use super::draft::Literal::{List, Text};
use crate::config::Address;

/// The port of a Centrifugo that has none in its file.
const PORT: u64 = 8000;

/// Begins the text of every certificate and key in a file.
const PEM: &str = "-----BEGIN";

impl Conversion {
    /// Sets addresses and TLS. Returns whether Centrifugo has an address for operators.
    pub(super) fn convert_listening(&mut self) -> bool {
        let address = self.text("http_server.address");
        let port = self.number("http_server.port");
        let from = names([address.as_ref().map(|one| one.name.as_str()), port.as_ref().map(|one| one.name.as_str())]);
        let host = address.map_or_else(String::new, |address| address.value);
        let plain = socket(&host, port.map_or(PORT, |port| port.value));
        let has_tls = self.convert_tls();
        let prefix = if has_tls { "tls+" } else { "" };
        self.set("addr", List(vec![format!("{prefix}{plain}")]), &from);
        let external = self.switch("http_server.tls_external");
        if let Some(external) = &external {
            self.notes.cover(&external.name, "internal_addr, if there is one, is not encrypted");
        }
        self.convert_internal(&plain, if external.is_some() { "" } else { prefix })
    }

    /// Sets certificate and key. Returns whether there are both.
    fn convert_tls(&mut self) -> bool {
        let switch = self.switch("http_server.tls.enabled");
        let mut files = Vec::new();
        for (setting, paths) in [
            ("tls_certificate", ["http_server.tls.cert_pem_file", "http_server.tls.cert_pem"]),
            ("tls_key", ["http_server.tls.key_pem_file", "http_server.tls.key_pem"]),
        ] {
            for given in paths.into_iter().filter_map(|path| self.text(path)).collect::<Vec<_>>() {
                // Base64 of PEM begins like this.
                if given.value.contains(PEM) || given.value.starts_with("LS0tLS1CRUdJTi") {
                    let text = format!("its value is PEM; write it to a file, and name that as {setting} of [tls]");
                    self.notes.refuse(&given.name, text);
                } else if switch.is_none() {
                    self.notes.refuse(&given.name, "TLS is not enabled in the file, so it is left out");
                } else {
                    files.push((setting, given));
                }
            }
        }
        let has = |setting| files.iter().any(|(one, _)| *one == setting);
        if switch.is_some() && !(has("tls_certificate") && has("tls_key")) {
            let text = "addr is NOT encrypted in this file, because it needs two files, the certificate and its key. \
                        Name them as tls_certificate and tls_key of [tls], and write tls+ before the address.";
            self.notes.refuse(&switch.map_or_else(String::new, |switch| switch.name), text);
            return false;
        }
        for (setting, given) in files {
            self.set(setting, Text(given.value), &given.name);
        }
        switch.is_some()
    }

    fn convert_internal(&mut self, public: &str, prefix: &str) -> bool {
        let host = self.text("http_server.internal_address");
        let port = self.number("http_server.internal_port");
        let api = self.switch("http_api.external");
        if let Some(api) = &api {
            self.notes.cover(&api.name, "/api is at addr");
        }
        let from = names([host.as_ref().map(|one| one.name.as_str()), port.as_ref().map(|one| one.name.as_str())]);
        if from == DEFAULT {
            return false;
        }
        let public_port = public.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(PORT);
        let host = host.map_or_else(String::new, |host| host.value);
        let plain = socket(&host, port.map_or(public_port, |port| port.value));
        if plain == public {
            return false;
        }
        if api.is_none() {
            self.notes.remark(format!(
                "{from}: the HTTP API is at addr, where clients connect, and not at the internal address. It answers \
                 requests with a key only; let a proxy keep /api from the outside if it should."
            ));
        }
        if plain.parse::<Address>().is_ok_and(|address| !address.is_local()) {
            self.notes.refuse(
                &from,
                format!(
                    "internal_addr {plain} can be reached from other machines, and needs a key for operators. Write \
                     internal_addr = \"{prefix}{plain}\" and, in [access], admin_keys = [\"...\"] with a key of \
                     `openssl rand -hex 32`. Until then /metrics and /admin are at addr, closed."
                ),
            );
            return true;
        }
        self.set("internal_addr", Text(format!("{prefix}{plain}")), &from);
        true
    }
}

/// Returns an address as a file of throng has it.
fn socket(host: &str, port: u64) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
