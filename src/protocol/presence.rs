//! Presence: what others may know of a client in a channel, and that one has joined or left.

use std::sync::Arc;

/// What is known of a client besides its id. An anonymous client has none of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Profile {
    /// The user that its token names.
    pub user: Option<Arc<str>>,
    /// What its token says of the client: JSON without white space between its parts.
    pub conn_info: Option<Arc<str>>,
    /// What its token says of the client in this channel, in the same form.
    pub chan_info: Option<Arc<str>>,
}

/// A client has joined a channel or left it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PresenceEvent {
    /// Which of the two.
    pub kind: PresenceEventKind,
    /// The id of the client as text, which the API takes too.
    pub client: Box<str>,
    /// What is known of it; `None` for an anonymous client.
    pub info: Option<Arc<Profile>>,
}

/// What a client did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PresenceEventKind {
    /// It is in the channel now.
    Join,
    /// It is not in the channel any more.
    Leave,
}

impl Profile {
    /// An anonymous client.
    pub const ANONYMOUS: Self = Self { user: None, conn_info: None, chan_info: None };

    /// Returns the name of its user; empty for an anonymous client, as in the Centrifuge protocol.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// Returns about how many bytes it takes in a message.
    pub fn bytes(&self) -> usize {
        [&self.user, &self.conn_info, &self.chan_info].into_iter().flatten().map(|text| text.len()).sum()
    }

    /// Appends it as the JSON of the Centrifuge protocol, `{"user":"42","client":"0/17.3","conn_info":{}}`, in one
    /// line.
    pub fn push_json(&self, client: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"user\":");
        push_json_string(self.user(), out);
        out.extend_from_slice(b",\"client\":");
        push_json_string(client, out);
        for (name, info) in [("conn_info", &self.conn_info), ("chan_info", &self.chan_info)] {
            if let Some(info) = info {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                out.extend_from_slice(info.as_bytes());
            }
        }
        out.push(b'}');
    }
}

impl PresenceEvent {
    /// Returns what is known of the client.
    pub fn info(&self) -> &Profile {
        self.info.as_deref().unwrap_or(&Profile::ANONYMOUS)
    }

    /// Returns about how many bytes it takes in a message.
    pub fn bytes(&self) -> usize {
        Self::bytes_of(self.info())
    }

    /// The same, before there is an event.
    pub(crate) fn bytes_of(info: &Profile) -> usize {
        // What stands around the texts: the id, the names of fields, quotes.
        const FRAME: usize = 72;
        FRAME + info.bytes()
    }
}

fn push_json_string(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, text).is_err() {
        // A vector takes every byte, so this does not happen; the line stays JSON in any case.
        out.truncate(start);
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(info: &Profile) -> String {
        let mut out = Vec::new();
        info.push_json("0/17.3", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn info_is_the_json_of_the_centrifuge_protocol() {
        assert_eq!(json(&Profile::ANONYMOUS), r#"{"user":"","client":"0/17.3"}"#);
        let info = Profile {
            user: Some("42".into()),
            conn_info: Some(r#"{"a":1}"#.into()),
            chan_info: Some(r#"{"b":2}"#.into()),
        };
        let expected = r#"{"user":"42","client":"0/17.3","conn_info":{"a":1},"chan_info":{"b":2}}"#;
        assert_eq!(json(&info), expected);
    }

    /// A user is any text that the issuer of the tokens chose.
    #[test]
    fn name_of_a_user_cannot_break_the_line() {
        let info = Profile { user: Some("a\"\n [throng] here 7".into()), ..Profile::ANONYMOUS };
        assert_eq!(json(&info), r#"{"user":"a\"\n [throng] here 7","client":"0/17.3"}"#);
    }
}
