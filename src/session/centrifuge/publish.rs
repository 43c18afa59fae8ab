//! `publish`.

use super::caller::{Caller, Permission};
use super::failure::Failure;
use crate::engine::NotPublished;
use crate::hub::Sink;
use crate::protocol::Details;
use crate::protocol::centrifuge::{ErrorCode, Publish, ReplyBody};
use crate::session::permission::Action;
use std::sync::Arc;

impl<S: Sink> Caller<'_, S> {
    /// Publishes, and waits until every shard with subscribers has room, or the cluster has it.
    pub(super) async fn publish(&self, request: Publish) -> Result<ReplyBody, Failure> {
        let (channel, permission) = self.permitted(Action::Publish, &request.channel).await?;
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        let mut payload = request.data.ok_or(ErrorCode::BadRequest)?;
        let mut tags = Vec::new();
        if permission == Permission::OfApplication {
            let (hooks, asker) = (self.environment.hooks(), self.client.asker());
            let approval = hooks.publish(&asker, &request.channel, &payload).await.allowed()?;
            payload = approval.data.unwrap_or(payload);
            tags = approval.tags;
        }
        let tag_bytes = tags.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if payload.len() + tag_bytes > channel.options.publish_bytes_max() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let info = Some(self.client.publisher());
        payload.details = Some(Arc::new(Details { info, tags }));
        let published = self.client.engine.publish_to(&channel.name, &channel.options, &payload, None).await;
        published.map_err(|refusal| match refusal {
            NotPublished::Full(_) => ErrorCode::LimitExceeded,
            NotPublished::Refused(_) => ErrorCode::NotAvailable,
        })?;
        Ok(ReplyBody::Publish)
    }
}
