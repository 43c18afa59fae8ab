//! The Centrifuge protocol: commands in strict order, each with its reply, and several subscriptions per connection.
//!
//! The first command says who the client is. Replies are joined to frames until a subscription is made: its own reply
//! goes with it, so that it stands before the first publication. Replies that wait for a client are bounded, and it is
//! not read meanwhile (`engine::replies`).

mod caller;
pub mod clients;
pub mod connect;
mod failure;
mod history;
mod messages;
mod publish;
mod refresh;
mod rpc;
pub mod server_side;
mod subscribe;
mod terms;

use super::client::Client;
use super::environment::Environment;
use super::flow::{Flow, Pending};
use super::hooks::Asker;
use super::users::UserPermit;
use crate::engine::replies::ReplyBudget;
use crate::hub::Sink;
use crate::hub::observer::Change;
use crate::protocol::CloseReason;
use crate::protocol::centrifuge::{
    self, Command, Connect, DisconnectCode, ErrorCode, Format, Reply, ReplyBody, Request,
};
use bytes::Bytes;
use caller::Caller;
use clients::ConnectedClient;
use connect::Admitted;
use failure::Failure;
use messages::{Messages, reply_frame};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time in which a client has to connect, as in Centrifugo.
const STALE_AFTER: Duration = Duration::from_secs(10);

const BAD_REQUEST: CloseReason = CloseReason::Centrifuge(DisconnectCode::BadRequest);

/// A client of the Centrifuge protocol.
#[derive(Debug)]
pub struct Centrifuge<S: Sink> {
    pub(super) client: Client<S>,
    format: Format,
    environment: Arc<dyn Environment<S>>,
    state: State<S>,
}

/// How far a client has come.
#[derive(Debug)]
enum State<S: Sink> {
    /// It has to connect until then; the application gets these headers of its handshake.
    New { until: Instant, headers: Vec<(String, Bytes)> },
    /// Its connect got an error: it may do nothing more.
    Refused { until: Instant },
    /// It is connected.
    Connected { client: Arc<ConnectedClient<S>>, _permit: Option<UserPermit> },
}

impl<S: Sink> Centrifuge<S> {
    pub(super) fn new(
        client: Client<S>,
        format: Format,
        headers: Vec<(String, Bytes)>,
        environment: Arc<dyn Environment<S>>,
    ) -> Self {
        let until = Instant::now() + STALE_AFTER;
        Self { client, format, environment, state: State::New { until, headers } }
    }

    /// Takes a frame. The answer to a ping, which every client sends again and again, is done at once.
    pub(super) fn receive(&mut self, frame: &[u8]) -> Flow<S> {
        let pong: &[u8] = match self.format {
            Format::Json => b"{}",
            Format::Protobuf => &[0],
        };
        match &self.state {
            State::Connected { .. } if frame == pong => self.client.receive_pong(),
            _ => Flow::Wait(Pending::Frame(frame.into())),
        }
    }

    /// Returns when the client is closed, and why, if it does not go on.
    pub(super) fn deadline(&self) -> Option<(Instant, CloseReason)> {
        match &self.state {
            State::New { until, .. } | State::Refused { until } => {
                Some((*until, CloseReason::Centrifuge(DisconnectCode::Stale)))
            }
            State::Connected { .. } => None,
        }
    }

    /// Carries out the commands of a frame, in their order.
    pub(super) async fn run(&mut self, frame: &[u8]) -> Result<(), CloseReason> {
        let mut messages = Messages::new(self.format);
        let done = self.run_commands(frame, &mut messages).await;
        // What was done before a command that ends the connection has its replies.
        self.send(&mut messages).await;
        done
    }

    async fn run_commands(&mut self, frame: &[u8], messages: &mut Messages) -> Result<(), CloseReason> {
        let mut bytes = frame.len();
        if bytes == 0 {
            return Err(BAD_REQUEST);
        }
        for command in centrifuge::commands(self.format, frame) {
            let Command { id, request } = command.map_err(|_| BAD_REQUEST)?;
            self.client.throttle(std::mem::take(&mut bytes)).await?;
            match self.execute(id, request, messages).await {
                Ok(None) => {}
                Ok(Some(body)) => messages.reply(&Reply { id, result: Ok(body) }),
                Err(Failure::Error(error)) => messages.reply(&Reply { id, result: Err(error) }),
                Err(Failure::Close(reason)) => return Err(reason),
            }
            if messages.are_many() {
                self.send(messages).await;
            }
        }
        Ok(())
    }

    /// Carries out one command. Returns its reply, unless that has gone another way.
    async fn execute(
        &mut self,
        id: u32,
        request: Request,
        messages: &mut Messages,
    ) -> Result<Option<ReplyBody>, Failure> {
        let (client, request) = match (&mut self.state, request) {
            (State::New { headers, .. }, Request::Connect(request)) if id > 0 => {
                let headers = std::mem::take(headers);
                return self.connect(id, &request, headers).await.map(|()| None);
            }
            (State::Connected { .. }, Request::Pong) => {
                self.client.pong().await;
                return Ok(None);
            }
            (State::Connected { .. }, Request::Send(_)) => return Err(DisconnectCode::NotAvailable.into()),
            (State::Connected { client, .. }, request) if id > 0 => (Arc::clone(client), request),
            _ => return Err(Failure::Close(BAD_REQUEST)),
        };
        let caller = Caller { client: &client, environment: &*self.environment };
        Ok(Some(match request {
            Request::Subscribe(request) => {
                // The reply to it overtakes no other.
                send(&client, messages).await;
                caller.subscribe(id, &request).await?;
                return Ok(None);
            }
            Request::Unsubscribe(channel) => caller.unsubscribe(&channel).await?,
            Request::Publish(request) => caller.publish(request).await?,
            Request::History(request) => caller.history(&request).await?,
            Request::Presence(channel) => caller.presence(&channel).await?,
            Request::PresenceStats(channel) => caller.presence_stats(&channel).await?,
            Request::Refresh(request) => caller.refresh(&request)?,
            Request::SubRefresh(request) => caller.sub_refresh(&request).await?,
            Request::Rpc(request) => caller.rpc(&request).await?,
            Request::Unknown => return Err(ErrorCode::MethodNotFound.into()),
            Request::Connect(_) | Request::Send(_) | Request::Pong => return Err(Failure::Close(BAD_REQUEST)),
        }))
    }

    /// Lets the client in, subscribes it as its token says, and replies before the first publication.
    async fn connect(&mut self, id: u32, request: &Connect, headers: Vec<(String, Bytes)>) -> Result<(), Failure> {
        let (engine, environment) = (self.client.engine(), &*self.environment);
        let asker = Asker { id: self.client.id(), user: None, format: Some(self.format), headers };
        let admitted = connect::connect(engine, environment, self.format, asker, request).await;
        let Admitted { client, permit, mut result, channels } = match admitted {
            Ok(admitted) => admitted,
            Err(failure) => {
                if let State::New { until, .. } = self.state {
                    self.state = State::Refused { until };
                }
                return Err(failure);
            }
        };
        self.state = State::Connected { client: Arc::clone(&client), _permit: permit };
        client.engine.hub().observe(Change::Connected(client.id()));
        if !channels.is_empty() {
            self.client.hold().await;
        }
        for channel in &channels {
            let name = channel.name.as_str();
            let recover = request.subs.iter().find(|(known, _)| known == name).and_then(|(_, at)| at.as_ref());
            match client.subscribe_at_connect(channel, recover).await {
                Ok(subscribed) => result.subs.push((name.to_owned(), subscribed)),
                Err(_) => {
                    self.client.release().await;
                    return Err(Failure::Close(CloseReason::TooManyChannels));
                }
            }
        }
        client.reply(reply_frame(self.format, &Reply { id, result: Ok(ReplyBody::Connect(result)) })).await;
        if !channels.is_empty() {
            self.client.release().await;
        }
        self.client.pong().await;
        // From here on a backend can change it.
        self.environment.clients().add(&client);
        Ok(())
    }

    /// Sends what was collected.
    async fn send(&self, messages: &mut Messages) {
        if let State::Connected { client, .. } = &self.state {
            return send(client, messages).await;
        }
        // A client that is not let in gets one reply at most.
        if let Some(frame) = messages.take() {
            self.client.engine().reply(self.client.id(), frame, &ReplyBudget::default()).await;
        }
    }

    /// Ends the session after its socket has ended.
    pub(super) async fn end(self) {
        if let State::Connected { client, .. } = &self.state {
            self.environment.clients().remove(client.id());
            client.end().await;
            client.engine.hub().observe(Change::Disconnected(client.id()));
        }
        self.client.disconnect().await;
    }
}

async fn send<S: Sink>(client: &ConnectedClient<S>, messages: &mut Messages) {
    if let Some(frame) = messages.take() {
        client.reply(frame).await;
    }
}
