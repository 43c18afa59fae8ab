//! Permissions: whether a client may do something with a channel.
//!
//! One pure function for every protocol and for every way to subscribe. It follows the order of the Centrifuge
//! protocol: `$` demands a token that names the channel, such a token is enough, then `#` names its users, then the
//! namespace decides.

use crate::config::{ChannelOptions, ClientGroup, SubscriberGroup};
use std::sync::Arc;
use thiserror::Error;

/// First character of a channel that needs a token which names it.
const PRIVATE_PREFIX: char = '$';

/// What stands between the name of a channel and the users it is for.
const USER_BOUNDARY: char = '#';

/// What stands between two users.
const USER_SEPARATOR: char = ',';

/// Who a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who<'a> {
    /// It has no token, or one that names no user.
    Anonymous,
    /// It has a valid token.
    Authenticated {
        /// The user that the token names.
        user: &'a str,
    },
}

/// A client, as seen from one channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientOfChannel<'a> {
    /// Who it is.
    pub who: Who<'a>,
    /// It has a valid token that names the channel.
    pub has_channel_token: bool,
    /// It is subscribed to the channel.
    pub is_subscribed: bool,
}

/// What a client wants to do with a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Get its publications.
    Subscribe,
    /// Publish to it.
    Publish,
    /// Ask who is in it.
    Presence,
    /// Ask for its history.
    History,
}

/// A client may not do what it wants. The text names the namespace, the setting, and what the client lacks.
#[derive(Clone, Debug, Error)]
pub enum Denied {
    /// The channel begins with `$`, and the client has no token that names it.
    #[error("a channel that begins with {PRIVATE_PREFIX} needs a token that names it")]
    Private,
    /// The channel is for other users.
    #[error("a channel with {USER_BOUNDARY} in its name is for the users that are listed after it")]
    OtherUsers,
    /// The namespace does not let the client subscribe.
    #[error("{} has allow_subscribe = \"{}\", and this client {}", options.section(), group.word(), lacks(*group))]
    Subscribe {
        /// Those that may.
        group: SubscriberGroup,
        /// The options of the channel.
        options: Arc<ChannelOptions>,
    },
    /// The namespace does not let the client do something else.
    #[error(
        "{} has {} = \"{}\", and this client {}",
        options.section(),
        action.setting(),
        group.word(),
        lacks_for(*group)
    )]
    Other {
        /// What it wants to do.
        action: Action,
        /// Those that may.
        group: ClientGroup,
        /// The options of the channel.
        options: Arc<ChannelOptions>,
    },
}

impl Denied {
    /// Returns whether the client may if the application says so.
    pub const fn asks_application(&self) -> bool {
        matches!(
            self,
            Self::Subscribe { group: SubscriberGroup::Hook, .. }
                | Self::Other { group: ClientGroup::Hook, action: Action::Publish, .. }
        )
    }
}

impl Action {
    /// Returns the key of the setting that decides it.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Subscribe => "allow_subscribe",
            Self::Publish => "allow_publish",
            Self::Presence => "allow_presence",
            Self::History => "allow_history",
        }
    }
}

const fn lacks(group: SubscriberGroup) -> &'static str {
    match group {
        SubscriberGroup::Everyone => "may",
        SubscriberGroup::Authenticated => "has no token of a user",
        SubscriberGroup::Token => "has no token that names the channel",
        SubscriberGroup::Hook => "is not one that the application is asked about",
    }
}

const fn lacks_for(group: ClientGroup) -> &'static str {
    match group {
        ClientGroup::Everyone => "may",
        ClientGroup::Authenticated => "has no token of a user",
        ClientGroup::Subscribers => "is not subscribed",
        ClientGroup::Nobody => "is not a backend",
        ClientGroup::Hook => "is not one that the application is asked about",
    }
}

/// Checks that a client may do something with the channel of this name.
///
/// # Errors
///
/// [`Denied`] says which rule forbids it.
pub fn check(
    client: ClientOfChannel<'_>,
    action: Action,
    channel: &str,
    options: &Arc<ChannelOptions>,
) -> Result<(), Denied> {
    let ClientOfChannel { who, has_channel_token, is_subscribed } = client;
    let is_admitted = has_channel_token || is_subscribed && action != Action::Subscribe;
    if channel.starts_with(PRIVATE_PREFIX) && !is_admitted {
        return Err(Denied::Private);
    }
    let users = channel.rsplit_once(USER_BOUNDARY).map(|(_, users)| users);
    if users.is_some_and(|users| !is_admitted && !is_listed(who, users)) {
        return Err(Denied::OtherUsers);
    }
    let is_authenticated = matches!(who, Who::Authenticated { .. });
    let group = match action {
        Action::Subscribe => {
            let group = options.options.allow_subscribe;
            let is_allowed = has_channel_token
                || users.is_some()
                || group == SubscriberGroup::Everyone
                || group == SubscriberGroup::Authenticated && is_authenticated;
            let denied = || Denied::Subscribe { group, options: Arc::clone(options) };
            return if is_allowed { Ok(()) } else { Err(denied()) };
        }
        Action::Publish => options.options.allow_publish,
        Action::Presence => options.options.allow_presence,
        Action::History => options.options.allow_history,
    };
    let is_allowed = match group {
        ClientGroup::Everyone => true,
        ClientGroup::Authenticated => is_authenticated,
        ClientGroup::Subscribers => is_subscribed,
        ClientGroup::Nobody | ClientGroup::Hook => false,
    };
    if is_allowed { Ok(()) } else { Err(Denied::Other { action, group, options: Arc::clone(options) }) }
}

fn is_listed(who: Who<'_>, users: &str) -> bool {
    let Who::Authenticated { user } = who else { return false };
    // An id with a separator in it could pass for two, and an empty one for what stands between two separators.
    !user.is_empty() && users.split(USER_SEPARATOR).any(|listed| listed == user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NamespaceOptions;
    use proptest::prelude::*;

    const ANONYMOUS: Who<'_> = Who::Anonymous;
    const USER: Who<'_> = Who::Authenticated { user: "42" };

    fn options(change: impl FnOnce(&mut NamespaceOptions)) -> Arc<ChannelOptions> {
        let mut options = NamespaceOptions::default();
        change(&mut options);
        Arc::new(ChannelOptions { revision: 0, namespace: "news".parse().ok(), slow_consumer: None, options })
    }

    fn client(who: Who<'_>, has_channel_token: bool, is_subscribed: bool) -> ClientOfChannel<'_> {
        ClientOfChannel { who, has_channel_token, is_subscribed }
    }

    fn may(client: ClientOfChannel<'_>, action: Action, channel: &str, options: &Arc<ChannelOptions>) -> bool {
        check(client, action, channel, options).is_ok()
    }

    /// Columns: anonymous, anonymous with a token for the channel, a user, a user with a token for the channel.
    /// A token that names the channel is a token, but names no user by itself.
    const SUBSCRIBE: [(&str, SubscriberGroup, &str); 15] = [
        ("news:sport", SubscriberGroup::Everyone, "yes yes yes yes"),
        ("news:sport", SubscriberGroup::Authenticated, "no yes yes yes"),
        ("news:sport", SubscriberGroup::Token, "no yes no yes"),
        // Only a token that names it opens a private channel, whatever the namespace says.
        ("$news:sport", SubscriberGroup::Everyone, "no yes no yes"),
        ("$news:sport", SubscriberGroup::Authenticated, "no yes no yes"),
        ("$news:sport", SubscriberGroup::Token, "no yes no yes"),
        // Users who are listed may in any case.
        ("news:dialog#41,42", SubscriberGroup::Everyone, "no yes yes yes"),
        ("news:dialog#41,42", SubscriberGroup::Authenticated, "no yes yes yes"),
        ("news:dialog#42", SubscriberGroup::Token, "no yes yes yes"),
        // Others may not, and lists are not matched in part.
        ("news:dialog#41,43", SubscriberGroup::Everyone, "no yes no yes"),
        ("news:dialog#4,2,421,142", SubscriberGroup::Authenticated, "no yes no yes"),
        ("news:dialog#", SubscriberGroup::Everyone, "no yes no yes"),
        // The last list counts.
        ("news:dialog#42#41", SubscriberGroup::Everyone, "no yes no yes"),
        ("#42", SubscriberGroup::Token, "no yes yes yes"),
        // Private and user-limited: both rules hold.
        ("$news:dialog#42", SubscriberGroup::Everyone, "no yes no yes"),
    ];

    #[test]
    fn truth_table_of_subscribing() {
        for (channel, group, expected) in SUBSCRIBE {
            let options = options(|one| one.allow_subscribe = group);
            for is_subscribed in [false, true] {
                let clients = [(ANONYMOUS, false), (ANONYMOUS, true), (USER, false), (USER, true)];
                let answers = clients.map(|(who, has_token)| {
                    may(client(who, has_token, is_subscribed), Action::Subscribe, channel, &options)
                });
                let answers = answers.map(|is_allowed| if is_allowed { "yes" } else { "no" }).join(" ");
                assert_eq!(answers, expected, "{channel} {group:?}");
            }
        }
    }

    /// Columns: anonymous, anonymous subscriber, a user, a user who is subscribed; without tokens for the channel.
    const OTHERS: [(&str, ClientGroup, &str); 14] = [
        ("news:sport", ClientGroup::Everyone, "yes yes yes yes"),
        ("news:sport", ClientGroup::Authenticated, "no no yes yes"),
        ("news:sport", ClientGroup::Subscribers, "no yes no yes"),
        ("news:sport", ClientGroup::Nobody, "no no no no"),
        // Who is outside a private channel is outside for everything.
        ("$news:sport", ClientGroup::Everyone, "no yes no yes"),
        ("$news:sport", ClientGroup::Authenticated, "no no no yes"),
        ("$news:sport", ClientGroup::Subscribers, "no yes no yes"),
        ("$news:sport", ClientGroup::Nobody, "no no no no"),
        ("news:dialog#42", ClientGroup::Everyone, "no yes yes yes"),
        ("news:dialog#42", ClientGroup::Authenticated, "no no yes yes"),
        ("news:dialog#42", ClientGroup::Subscribers, "no yes no yes"),
        ("news:dialog#42", ClientGroup::Nobody, "no no no no"),
        ("news:dialog#41", ClientGroup::Everyone, "no yes no yes"),
        ("news:dialog#41", ClientGroup::Authenticated, "no no no yes"),
    ];

    #[test]
    fn truth_table_of_publish_presence_and_history() {
        for (channel, group, expected) in OTHERS {
            // Each action is decided by its own setting, whatever the two others say.
            for other in [ClientGroup::Everyone, ClientGroup::Nobody] {
                for action in [Action::Publish, Action::Presence, Action::History] {
                    let options = options(|one| {
                        (one.allow_publish, one.allow_presence, one.allow_history) = (other, other, other);
                        match action {
                            Action::Publish => one.allow_publish = group,
                            Action::Presence => one.allow_presence = group,
                            Action::History | Action::Subscribe => one.allow_history = group,
                        }
                    });
                    let clients = [(ANONYMOUS, false), (ANONYMOUS, true), (USER, false), (USER, true)];
                    let answers = clients
                        .map(|(who, is_subscribed)| may(client(who, false, is_subscribed), action, channel, &options));
                    let answers = answers.map(|is_allowed| if is_allowed { "yes" } else { "no" }).join(" ");
                    assert_eq!(answers, expected, "{channel} {group:?} {action:?}");
                }
            }
        }
    }

    /// A person who reads a refusal has to find the line to change.
    #[test]
    fn refusals_name_the_namespace_the_rule_and_the_setting() {
        let denied = |action, channel: &str, change: fn(&mut NamespaceOptions)| {
            check(client(ANONYMOUS, false, false), action, channel, &options(change)).unwrap_err().to_string()
        };
        assert_eq!(
            denied(Action::Subscribe, "news:x", |one| one.allow_subscribe = SubscriberGroup::Authenticated),
            "[[namespace]] news has allow_subscribe = \"authenticated\", and this client has no token of a user"
        );
        assert_eq!(
            denied(Action::Subscribe, "news:x", |one| one.allow_subscribe = SubscriberGroup::Token),
            "[[namespace]] news has allow_subscribe = \"token\", and this client has no token that names the channel"
        );
        assert_eq!(
            denied(Action::Publish, "news:x", |one| one.allow_publish = ClientGroup::Nobody),
            "[[namespace]] news has allow_publish = \"nobody\", and this client is not a backend"
        );
        assert_eq!(
            denied(Action::History, "news:x", |_| {}),
            "[[namespace]] news has allow_history = \"subscribers\", and this client is not subscribed"
        );
        assert_eq!(denied(Action::Subscribe, "$x", |_| {}), "a channel that begins with $ needs a token that names it");
        assert_eq!(
            denied(Action::Subscribe, "x#1", |_| {}),
            "a channel with # in its name is for the users that are listed after it"
        );
    }

    proptest! {
        /// No name of a user, however chosen, passes for one that it does not equal.
        #[test]
        fn only_a_listed_user_enters(user in "[0-9,#a]{0,4}", listed in prop::collection::vec("[0-9a]{1,3}", 1..4)) {
            let channel = format!("dialog#{}", listed.join(","));
            let who = Who::Authenticated { user: &user };
            let is_allowed = may(client(who, false, false), Action::Subscribe, &channel, &options(|_| {}));
            prop_assert_eq!(is_allowed, listed.contains(&user));
        }

        /// Being known can only add to what a client may do.
        #[test]
        fn a_token_never_takes_anything_away(
            group in 0..4_usize, subscribe in 0..3_usize, action in 0..4_usize, is_subscribed: bool, has_token: bool,
            channel in "[$]?(news:)?[a-z]{1,3}(#[0-9,]{0,6})?",
        ) {
            let groups =
                [ClientGroup::Everyone, ClientGroup::Authenticated, ClientGroup::Subscribers, ClientGroup::Nobody];
            let subscribers = [SubscriberGroup::Everyone, SubscriberGroup::Authenticated, SubscriberGroup::Token];
            let action = [Action::Subscribe, Action::Publish, Action::Presence, Action::History][action];
            let group = groups[group];
            let options = options(|one| {
                (one.allow_publish, one.allow_presence, one.allow_history) = (group, group, group);
                one.allow_subscribe = subscribers[subscribe];
            });
            let without = may(client(ANONYMOUS, has_token, is_subscribed), action, &channel, &options);
            let with = may(client(USER, has_token, is_subscribed), action, &channel, &options);
            prop_assert!(with || !without);
        }
    }
}
