//! An upgrade: from an HTTP connection to a session and its reader.

use super::reader::Reader;
use super::socket::SocketSink;
use crate::hub::{Hub, Seat};
use crate::protocol::ChannelName;
use crate::session::{Face, Session};
use bytes::Bytes;
use fastwebsockets::upgrade::UpgradeFut;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What a handshake has settled.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) hub: Hub<SocketSink>,
    pub(super) seat: Seat,
    pub(super) face: Face,
    pub(super) channel: ChannelName,
}

/// Takes the socket over from HTTP once the response is out.
pub(super) async fn take_over(upgrade: UpgradeFut, agreed: Agreed) {
    let Agreed { hub, seat, face, channel } = agreed;
    // A peer that left during the handshake: the seat is given back.
    let Ok(websocket) = upgrade.await else { return };
    let upgraded = websocket.into_inner().into_inner();
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the stream that was accepted");
        return;
    };
    let stream = Arc::new(parts.io.into_inner());
    // An empty buffer would still keep hyper's 8 KiB alive.
    let early = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
    let sink = SocketSink::new(Arc::clone(&stream));
    match Session::open(hub, seat, sink, face, &channel).await {
        Ok(session) => Reader::start(stream, early, session),
        Err(full) => tracing::warn!("refused a connection after its handshake: {full}"),
    }
}
