//! An administrator of the NATS servers: asks which server leads a stream, and does what an administrator might.

use crate::nats::Nats;
use crate::server::within;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// The prefix of the cluster's streams and subjects in these tests.
pub(crate) const PREFIX: &str = "test";

/// How many streams there are.
pub(crate) const PARTITIONS: usize = 2;

pub(crate) struct Administrator {
    client: async_nats::Client,
}

impl Administrator {
    pub(crate) async fn connect(nats: &Nats) -> Self {
        let urls: Vec<_> = nats.servers.iter().map(|server| format!("nats://{}", server.addr)).collect();
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        Self { client: within(options.connect(urls)).await.unwrap() }
    }

    /// Asks the API of JetStream, again and again while nobody answers.
    pub(crate) async fn ask(&self, subject: &str, body: &Value) -> Value {
        within(async {
            loop {
                let request = async_nats::Request::new().payload(body.to_string().into());
                let request = request.timeout(Some(Duration::from_secs(2)));
                match self.client.send_request(format!("$JS.API.{subject}"), request).await {
                    Ok(answer) => return serde_json::from_slice(&answer.payload).unwrap(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await
    }

    pub(crate) async fn stream(&self, partition: usize) -> Value {
        self.ask(&format!("STREAM.INFO.{}", stream(partition)), &json!({})).await
    }

    /// Returns the index of the server that leads the stream of a partition.
    pub(crate) async fn leader(&self, nats: &Nats, partition: usize) -> usize {
        within(async {
            loop {
                let info = self.stream(partition).await;
                let leader = info["cluster"]["leader"].as_str();
                if let Some(index) = nats.servers.iter().position(|server| Some(server.name.as_str()) == leader) {
                    return index;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }

    /// Returns how many messages of each channel the streams hold.
    pub(crate) async fn stored(&self) -> HashMap<String, usize> {
        let mut stored = HashMap::new();
        for partition in 0..PARTITIONS {
            let request = json!({ "subjects_filter": ">" });
            let info = self.ask(&format!("STREAM.INFO.{}", stream(partition)), &request).await;
            for (subject, count) in info["state"]["subjects"].as_object().into_iter().flatten() {
                let channel = subject.rsplit('.').next().unwrap_or_default();
                stored.insert(channel.to_owned(), usize::try_from(count.as_u64().unwrap()).unwrap());
            }
        }
        stored
    }

    /// Returns the partition of a channel that has something in it.
    pub(crate) async fn partition_of(&self, channel: &str) -> usize {
        let wanted = json!({ "subjects_filter": format!("throng.{PREFIX}.log.*.{channel}") });
        for partition in 0..PARTITIONS {
            let info = self.ask(&format!("STREAM.INFO.{}", stream(partition)), &wanted).await;
            if info["state"]["subjects"].is_object() {
                return partition;
            }
        }
        panic!("nothing is stored of {channel}");
    }

    /// Makes the stream of a partition anew, empty, with its settings and so under its epoch.
    pub(crate) async fn make_anew(&self, partition: usize) {
        let config = self.stream(partition).await["config"].clone();
        self.ask(&format!("STREAM.DELETE.{}", stream(partition)), &json!({})).await;
        let answer = self.ask(&format!("STREAM.CREATE.{}", stream(partition)), &config).await;
        assert!(answer["error"].is_null(), "{answer}");
    }

    pub(crate) async fn step_down(&self, partition: usize) {
        let answer = self.ask(&format!("STREAM.LEADER.STEPDOWN.{}", stream(partition)), &json!({})).await;
        assert_eq!(answer["success"], json!(true), "{answer}");
    }

    /// Lets a server lead the stream of a partition.
    pub(crate) async fn let_lead(&self, nats: &Nats, server: usize, partition: usize) {
        let request = json!({ "placement": { "preferred": nats.servers[server].name } });
        while self.leader(nats, partition).await != server {
            // It is refused while that server is behind.
            self.ask(&format!("STREAM.LEADER.STEPDOWN.{}", stream(partition)), &request).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Returns the name of the stream of a partition.
pub(crate) fn stream(partition: usize) -> String {
    format!("THRONG_{PREFIX}_{partition}")
}
