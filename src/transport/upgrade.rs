//! An upgrade: from an HTTP connection to a session and its reader.

use super::admission::Leave;
use super::reader::Reader;
use super::socket::{Socket, SocketSink};
use crate::hub::{Hub, Seat};
use crate::protocol::ChannelName;
use crate::session::{Face, Session};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;

/// What a handshake has settled.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) hub: Hub<SocketSink>,
    pub(super) seat: Seat,
    pub(super) face: Face,
    pub(super) channel: ChannelName,
    /// Who it is, as far as balancers tell.
    pub(super) client: IpAddr,
    /// How it got in.
    pub(super) leave: Leave,
}

/// Takes the socket over from HTTP once the response is out, and with it what came behind the request's head.
pub(super) async fn take_over(socket: Socket, early: Bytes, agreed: Agreed) {
    let Agreed { hub, seat, face, channel, client, leave } = agreed;
    tracing::debug!(%client, id = ?seat.id(), "connected");
    let mut early = Vec::from(early);
    early.extend(socket.early());
    let socket = Arc::new(socket.of(client));
    let sink = SocketSink::new(Arc::clone(&socket));
    match Session::open(hub, seat, sink, (face, leave.is_some()), &channel).await {
        Ok(session) => Reader::start(socket, early, session, leave),
        Err(full) => tracing::warn!("refused a connection after its handshake: {full}"),
    }
}
