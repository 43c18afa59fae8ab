//! The cluster: a broker that is NATS becomes streams of NATS JetStream.

use super::conversion::{Conversion, DEFAULT, names};
use super::draft::Literal::{List, Text};
use super::given::Given;
use super::key::Dialect;
use super::reasons;
use crate::config::Config;

/// Address of the broker if the file has none.
const URL: &str = "nats://localhost:4222";

impl Conversion {
    /// Sets the engine, after everything else: histories may not be longer than what streams keep.
    pub(super) fn convert_cluster(&mut self) {
        let (enabled, broker) = (self.switch("broker.enabled"), self.text("broker.type"));
        let url = self.text("broker.nats.url");
        let is_nats = broker.as_ref().is_some_and(|broker| broker.value == "nats");
        let is_on = enabled.is_some() || self.source.dialect == Dialect::V5;
        let name = names([enabled.as_ref().map(|one| &*one.name), broker.as_ref().map(|one| &*one.name)]);
        match broker {
            Some(broker) if is_nats && !is_on => {
                self.notes.cover(&broker.name, "broker.enabled is off in the file, so there is no broker");
            }
            Some(_) if is_nats => return self.convert_nats(&name, url),
            Some(broker) if broker.value == "memory" && enabled.is_none() => {}
            None if enabled.is_none() => {}
            _ => self.notes.miss(name, reasons::CLUSTER),
        }
        if let Some(url) = url {
            self.notes.miss(url.name, reasons::CLUSTER);
        }
    }

    fn convert_nats(&mut self, broker: &str, url: Option<Given<String>>) {
        let url = url.unwrap_or_else(|| Given { value: URL.to_owned(), name: DEFAULT.to_owned() });
        let servers = url.value.split(',').map(|server| server.trim().to_owned()).collect();
        if !self.set("nats_servers", List(servers), &url.name) || !self.set("engine", Text("nats".to_owned()), broker) {
            self.draft.unset("nats_servers");
            self.notes.miss(broker, reasons::CLUSTER);
        } else if let Err(error) = Config::from_toml(&self.draft.to_toml()) {
            for setting in ["nats_servers", "engine"] {
                self.draft.unset(setting);
            }
            let text = format!("{error}. [cluster] is left out: set engine and nats_servers there.");
            self.notes.refuse(&names([Some(broker), Some(&*url.name).filter(|name| *name != DEFAULT)]), text);
        } else {
            self.notes.remark(format!(
                "{broker}: hubs need JetStream on the NATS servers, version 2.11 or newer, and streams that `throng \
                 cluster init` makes of this file. Set replicas to the number of servers, at most 3 or 5, and \
                 nats_credentials and nats_tls_ca if the servers want them (docs/cluster.md)."
            ));
        }
    }
}
