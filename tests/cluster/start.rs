//! The beginning of a cluster.

use crate::hubs::Hubs;
use crate::nats::Nats;
use crate::server::place::Place;

/// Whoever starts everything at once, as containers do, does not know when the servers have found each other.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_by_servers_that_have_just_started() {
    let nats = Nats::start_unready(&vec![Place::here(); 3]).await;
    let hubs = Hubs::configure(&[Place::here()], &nats, "");
    let created = hubs.cluster("init").await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    assert!(hubs.cluster("check").await.status.success());
}
