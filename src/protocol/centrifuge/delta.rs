//! Deltas: publications to a channel, each as what has changed since the one before it.
//!
//! Clients that asked for them keep the data of the newest publication that they have, and make the next one of it. In
//! JSON the data of each is a string then: of the JSON value, or of its delta.

use super::format::Format;
use super::value;
use crate::protocol::fossil::{self, Cut};
use crate::protocol::{Payload, json};
use bytes::Bytes;

/// What clients know that get every publication from here on: nothing at first, so that the next one is whole.
///
/// Empty for channels whose subscribers ask for no deltas, and boxed to be small there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chain(Option<Box<Bytes>>);

/// The data of a publication in a chain, as a format has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) data: Bytes,
    /// It is what has changed.
    pub(super) is_delta: bool,
}

impl Chain {
    /// Lets the next publication be whole, for a subscriber that has none before it.
    pub fn restart(&mut self) {
        self.0 = None;
    }

    /// Returns the data of the next publication: what has changed, if that is shorter.
    pub(super) fn next(&mut self, format: Format, payload: &Payload) -> Link {
        let (data, cut) = match format {
            Format::Json => (value::text(payload), Cut::BetweenCharacters),
            Format::Protobuf => (value::bytes(payload), Cut::Anywhere),
        };
        let delta = self.0.as_ref().and_then(|before| fossil::delta(before, &data, cut));
        let is_delta = delta.is_some();
        let sent = delta.map_or_else(|| data.clone(), Bytes::from);
        match &mut self.0 {
            Some(before) => **before = data,
            None => self.0 = Some(Box::new(data)),
        }
        let data = if format == Format::Json { string(&sent) } else { sent };
        Link { data, is_delta }
    }
}

/// Returns a text as a JSON string.
fn string(text: &[u8]) -> Bytes {
    let mut string = Vec::with_capacity(text.len() + text.len() / 8 + 2);
    // JSON values are UTF-8, and so are deltas that are cut between characters: nothing is replaced.
    json::write(&mut string, String::from_utf8_lossy(text).as_ref());
    string.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Content;

    fn links(format: Format, datas: &[&str]) -> Vec<(String, bool)> {
        let mut chain = Chain::default();
        let next = |data: &&str| {
            let Link { data, is_delta } = chain.next(format, &Payload::json(data));
            (String::from_utf8(data.to_vec()).unwrap(), is_delta)
        };
        datas.iter().map(next).collect()
    }

    const SCORES: [&str; 3] = [
        r#"{"home":"Alpha","away":"Beta","score":[0,0],"minute":44,"events":["kick-off"]}"#,
        r#"{"home":"Alpha","away":"Beta","score":[1,0],"minute":44,"events":["kick-off"]}"#,
        r#""half time""#,
    ];

    #[test]
    fn first_is_whole_and_then_each_is_a_delta_if_that_is_shorter() {
        let [first, _, third] = SCORES;
        let expected = [(first, false), ("1E\nc@0,1:1b@d,3tfrmR;", true), (third, false)];
        assert_eq!(links(Format::Protobuf, &SCORES), expected.map(|(data, is_delta)| (data.to_owned(), is_delta)));
        // In JSON everything is a string, of what Protobuf clients get.
        let strings = expected.map(|(data, is_delta)| (serde_json::to_string(data).unwrap(), is_delta));
        assert_eq!(links(Format::Json, &SCORES), strings);
    }

    #[test]
    fn chain_that_restarts_begins_with_a_whole_one() {
        let mut chain = Chain::default();
        let [first, second, _] = SCORES.map(Payload::json);
        chain.next(Format::Protobuf, &first);
        chain.restart();
        assert_eq!(chain.next(Format::Protobuf, &second), Link { data: second.data.clone(), is_delta: false });
        assert!(chain.next(Format::Protobuf, &first).is_delta);
    }

    /// Chat clients publish into the same channels.
    #[test]
    fn what_is_no_json_is_whole_as_a_value_of_its_format() {
        let mut chain = Chain::default();
        let line = Payload::line(b"hello").unwrap();
        assert_eq!(chain.next(Format::Json, &line), Link { data: r#""\"hello\"""#.into(), is_delta: false });
        let bytes = Payload::new(Content::Binary, Bytes::from_static(b"\xff"));
        assert_eq!(chain.next(Format::Json, &bytes).data, r#""{\"b64data\":\"/w==\"}""#);
        assert_eq!(chain.next(Format::Protobuf, &bytes).data, &b"\xff"[..]);
    }
}
