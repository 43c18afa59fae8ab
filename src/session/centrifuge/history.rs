//! `history`, `presence` and `presence_stats`: what a client can ask of a channel.

use super::caller::{Caller, NamedChannel};
use super::failure::Failure;
use crate::engine::NotRead;
use crate::hub::history::RECOVERED_MAX;
use crate::hub::{HistoryOptions, HistoryQuery, Member, Sink};
use crate::protocol::centrifuge::{ErrorCode, History, HistoryResult, ReplyBody, StreamPosition};
use crate::protocol::publication::ClientInfo;
use crate::protocol::{ChannelName, Epoch, Position};
use crate::session::permission::Action;
use std::sync::Arc;

impl<S: Sink> Caller<'_, S> {
    /// Reads what a channel keeps.
    pub(super) async fn history(&self, request: &History) -> Result<ReplyBody, Failure> {
        let (channel, _) = self.permitted(Action::History, &request.channel).await?;
        if !HistoryOptions::of(&channel.options).is_on() {
            return Err(ErrorCode::NotAvailable.into());
        }
        let query = HistoryQuery {
            since: self.since(&channel, request.since.as_ref()).await?,
            limit: usize::try_from(request.limit).map_or(RECOVERED_MAX, |limit| limit.min(RECOVERED_MAX)),
            is_reverse: request.reverse,
        };
        let page =
            self.client.engine.history(&channel.name, &channel.options, query).await.map_err(
                |refusal| match refusal {
                    NotRead::UnknownPosition => ErrorCode::UnrecoverablePosition,
                    NotRead::NotFollowed => ErrorCode::Internal,
                },
            )?;
        let result = match page {
            Some(page) => HistoryResult {
                publications: page.publications,
                epoch: page.position.epoch.to_string(),
                offset: page.position.offset,
            },
            // Nothing was published, or all of it has expired: no position is one of it.
            None if query.since.is_some() => return Err(ErrorCode::UnrecoverablePosition.into()),
            None => HistoryResult::default(),
        };
        Ok(ReplyBody::History(result))
    }

    /// Returns the position that a client names, whose epoch it may leave out.
    async fn since(&self, channel: &NamedChannel, since: Option<&StreamPosition>) -> Result<Option<Position>, Failure> {
        let Some(StreamPosition { epoch, offset }) = since else { return Ok(None) };
        if !epoch.is_empty() {
            let epoch = Epoch::parse(epoch).ok_or(ErrorCode::UnrecoverablePosition)?;
            return Ok(Some(Position { epoch, offset: *offset }));
        }
        let current =
            self.client.engine.history(&channel.name, &channel.options, HistoryQuery::default()).await.ok().flatten();
        Ok(current.map(|page| Position { epoch: page.position.epoch, offset: *offset }))
    }

    /// Returns who is in a channel.
    pub(super) async fn presence(&self, name: &str) -> Result<ReplyBody, Failure> {
        let channel = self.presence_channel(name).await?;
        let members = self.client.engine.presence(&channel).await;
        Ok(ReplyBody::Presence(members.known.iter().map(describe).collect()))
    }

    /// Returns how many are in a channel.
    pub(super) async fn presence_stats(&self, name: &str) -> Result<ReplyBody, Failure> {
        let channel = self.presence_channel(name).await?;
        let stats = self.client.engine.presence_stats(&channel).await;
        Ok(ReplyBody::PresenceStats { clients: stats.clients, users: stats.users })
    }

    async fn presence_channel(&self, name: &str) -> Result<ChannelName, Failure> {
        let (channel, _) = self.permitted(Action::Presence, name).await?;
        if !channel.options.options.presence {
            return Err(ErrorCode::NotAvailable.into());
        }
        Ok(channel.name)
    }
}

fn describe(member: &Member) -> Arc<ClientInfo> {
    Arc::new(ClientInfo::of(&member.id.to_string(), member.info()))
}
