//! The renewal of subscriptions that have expired, where the application is asked whether they go on.

use super::clients::{ConnectedClient, EndedSubscription};
use crate::config::HookName;
use crate::hub::{Command, Sink};
use crate::protocol::CloseReason;
use crate::protocol::centrifuge::{DisconnectCode, UnsubscribeCode};
use crate::session::environment::Environment;
use crate::session::hooks::{Decision, Extension, RETRY_SECONDS, Renewal};

impl<S: Sink> ConnectedClient<S> {
    /// Asks the application about each subscription that has expired. One that does not go on ends: a client that made
    /// it itself is told, and may subscribe again; another one is disconnected, as is one that had to renew it itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves some subscriptions as they are.
    pub async fn renew_subscriptions(&self, environment: &dyn Environment<S>) {
        let ended = self.subscriptions.lock().await.ended(environment.unix_seconds());
        for subscription in ended {
            let is_asked = environment.hooks().has(HookName::SubRefresh, Some(subscription.channel.name().as_str()));
            if !is_asked {
                return self.close(CloseReason::Centrifuge(DisconnectCode::SubscriptionExpired)).await;
            }
            self.renew(&subscription, environment).await;
        }
        let ends_at = self.subscriptions.lock().await.ends_at();
        environment.clients().set_due(self.id, ends_at);
    }

    async fn renew(&self, subscription: &EndedSubscription, environment: &dyn Environment<S>) {
        let name = subscription.channel.name();
        let decision = environment.hooks().sub_refresh(&self.asker(), name.as_str()).await;
        let now = environment.unix_seconds();
        let mut subscriptions = self.subscriptions.lock().await;
        // The client may have ended it meanwhile, and made another one.
        if !subscriptions.has(subscription) {
            return;
        }
        match decision {
            Decision::Allowed(Renewal::Until(Extension { expires_at, .. })) if expires_at.is_none_or(|at| at > now) => {
                subscriptions.set_end(name.as_str(), expires_at);
            }
            Decision::Refused(error) if error.is_temporary => {
                subscriptions.set_end(name.as_str(), Some(now + RETRY_SECONDS));
            }
            Decision::Closed(disconnection) => {
                let disconnection = Box::new(disconnection);
                self.send(Command::CloseWith { id: self.id, disconnection }).await;
            }
            Decision::Allowed(_) | Decision::Refused(_) if subscription.is_server_side => {
                self.close(CloseReason::Centrifuge(DisconnectCode::SubscriptionExpired)).await;
            }
            Decision::Allowed(_) | Decision::Refused(_) => {
                self.end_subscription(&mut subscriptions, name, UnsubscribeCode::Expired).await;
            }
        }
    }

    async fn close(&self, reason: CloseReason) {
        self.send(Command::Close { id: self.id, reason }).await;
    }

    async fn send(&self, command: Command<S>) {
        self.engine.hub().inbox(self.id.shard()).send(command).await;
    }
}
