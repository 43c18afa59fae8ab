//! A publication: what is published to a channel, before any protocol has laid it out.

use super::ProtocolError;
use super::{chat, json, presence};
use bytes::Bytes;
use std::sync::Arc;

/// What the data of a publication is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// A line of text, ended by its only newline, without other white space at its ends: what chat clients publish.
    Line,
    /// Any text.
    Text,
    /// One JSON value without white space between its parts.
    Json,
    /// Any bytes.
    Binary,
}

/// What is published: data that every encoding can be made of.
///
/// It exists once per process; cloning counts a reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payload {
    /// What the data is.
    pub content: Content,
    /// The data.
    pub data: Bytes,
    /// What else is known of it; most publications have nothing.
    pub details: Option<Arc<Details>>,
}

/// What a publisher says of a publication besides its data.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Details {
    /// Names and values, by name.
    pub tags: Vec<(String, String)>,
    /// The client that published it; `None` for what came by the API, or from a client without an identity.
    pub info: Option<Arc<ClientInfo>>,
}

/// What other clients may know of a client in a channel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientInfo {
    /// The user that it belongs to; empty for an anonymous one.
    pub user: String,
    /// The id of its connection.
    pub client: String,
    /// What its token says of the connection: one JSON value without white space between its parts.
    pub conn_info: Option<Bytes>,
    /// What the token of its subscription says, in the same form.
    pub chan_info: Option<Bytes>,
}

impl Details {
    /// Returns the bytes of the names and values, and of what is known of the publisher.
    pub fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
        tags + self.info.as_ref().map_or(0, |info| info.bytes())
    }
}

impl ClientInfo {
    /// Returns what is known of the client of that id.
    pub fn of(client: &str, known: &presence::Profile) -> Self {
        let json = |text: &Option<Arc<str>>| text.as_deref().map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Self {
            user: known.user().to_owned(),
            client: client.to_owned(),
            conn_info: json(&known.conn_info),
            chan_info: json(&known.chan_info),
        }
    }

    /// Returns the bytes of everything in it.
    pub fn bytes(&self) -> usize {
        let infos = [&self.conn_info, &self.chan_info].into_iter().flatten().map(Bytes::len);
        self.user.len() + self.client.len() + infos.sum::<usize>()
    }
}

impl Payload {
    /// Makes a line of what a chat client sent, see [`chat::line`].
    ///
    /// # Errors
    ///
    /// [`ProtocolError::InvalidUtf8`] for what is not text.
    pub fn line(input: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self::new(Content::Line, chat::line(input)?))
    }

    /// Makes data of a JSON value, which has to be one.
    pub fn json(value: &str) -> Self {
        Self::new(Content::Json, json::compact(value))
    }

    /// Returns a payload of which nothing else is known.
    pub fn new(content: Content, data: Bytes) -> Self {
        Self { content, data, details: None }
    }

    /// Returns the bytes of the data.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Returns whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

/// What was published to a channel, and where it stands in the channel's order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publication {
    /// Number in the channel, from 1, without gaps.
    pub offset: u64,
    /// When it arrived, in microseconds since 1970; 0 when that was not measured.
    pub at: u64,
    /// What was published.
    pub payload: Payload,
}
