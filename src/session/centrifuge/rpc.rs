//! `rpc`: a call of the application.

use super::caller::Caller;
use super::failure::Failure;
use crate::hub::Sink;
use crate::protocol::centrifuge::{ReplyBody, Rpc};

impl<S: Sink> Caller<'_, S> {
    /// Calls the application, and returns what it returns. Without a hook the call is not available.
    pub(super) async fn rpc(&self, request: &Rpc) -> Result<ReplyBody, Failure> {
        let returned = self.environment.hooks().rpc(&self.client.asker(), request).await;
        returned.allowed().map(ReplyBody::Rpc)
    }
}
