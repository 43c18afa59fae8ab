//! Who joins a channel and who leaves it, as pushes.

use super::format::Format;
use super::frame::push;
use super::reply::{Push, PushBody};
use crate::protocol::presence::{self, PresenceEvent, PresenceEventKind};
use crate::protocol::publication::ClientInfo;
use bytes::Bytes;
use std::sync::Arc;

/// Appends that a client has joined the channel or left it.
pub fn event(format: Format, channel: &str, event: &PresenceEvent, out: &mut Vec<u8>) {
    let info = Arc::new(client_info(&event.client, event.info()));
    let body = match event.kind {
        PresenceEventKind::Join => PushBody::Join(info),
        PresenceEventKind::Leave => PushBody::Leave(info),
    };
    push(format, &Push { channel: channel.to_owned(), body }, out);
}

fn client_info(client: &str, info: &presence::ClientInfo) -> ClientInfo {
    let json = |text: &Option<Arc<str>>| text.as_deref().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    ClientInfo {
        user: info.user().to_owned(),
        client: client.to_owned(),
        conn_info: json(&info.conn_info),
        chan_info: json(&info.chan_info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_the_client_and_what_is_known_of_it() {
        let known =
            presence::ClientInfo { user: Some("42".into()), conn_info: Some(r#"{"a":1}"#.into()), chan_info: None };
        let written = |kind, info: Option<presence::ClientInfo>| {
            let mut out = Vec::new();
            let one = PresenceEvent { kind, client: "0/17.3".into(), info: info.map(Arc::new) };
            event(Format::Json, "news", &one, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(PresenceEventKind::Join, Some(known)),
            r#"{"push":{"channel":"news","join":{"info":{"user":"42","client":"0/17.3","conn_info":{"a":1}}}}}"#
                .to_owned()
                + "\n"
        );
        assert_eq!(
            written(PresenceEventKind::Leave, None),
            r#"{"push":{"channel":"news","leave":{"info":{"user":"","client":"0/17.3"}}}}"#.to_owned() + "\n"
        );
    }
}
