//! The end of connections whose token has expired: one look per second, no timer per connection.

use super::tokens::unix_seconds;
use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;
use crate::protocol::CloseReason;
use crate::session::centrifuge::clients::Clients;
use crate::session::users::Users;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: as precise as the times of tokens.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Closes connections that have expired, for ever.
pub(crate) async fn close_expired(hub: &Hub<SocketSink>, users: &Users, clients: &Clients<SocketSink>) {
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        // Again every second until they are gone: a connection may expire before its shard knows it.
        for id in users.expired(unix_seconds()) {
            hub.inbox(id.shard()).send(Command::Close { id, reason: CloseReason::Expired }).await;
        }
        for client in clients.due(unix_seconds()) {
            client.close_if_expired(unix_seconds(), clients).await;
        }
    }
}
