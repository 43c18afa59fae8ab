//! The HTTP API of a server, as a backend uses it to publish: Centrifugo's shapes, which throng has too.
//!
//! One publication is `POST publish`, several are one `POST batch`, in which each has an answer of its own.

use super::http::Response;
use serde::Deserialize;
use std::time::Duration;

/// The pause of an answer that asks for a second attempt and does not say when.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Codes of errors that pass: a limit is reached, shards have no room.
const TEMPORARY: [u32; 2] = [106, 111];

/// What an answer means for the publications of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Whether each was accepted, in their order; the others are to be sent again.
    Answered(Vec<bool>),
    /// None was accepted; all are to be sent again after this pause.
    Later(Duration),
    /// The server will never accept them, for this reason.
    Refused(String),
}

/// Appends the body of a request, publication by publication.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    len: usize,
    is_batch: bool,
}

impl Body {
    /// Returns a body without a publication.
    pub(crate) fn new(is_batch: bool) -> Self {
        let bytes = if is_batch { br#"{"commands":["#.to_vec() } else { Vec::new() };
        Self { bytes, len: 0, is_batch }
    }

    /// Returns the method that takes the body.
    pub(crate) const fn method(&self) -> &'static str {
        if self.is_batch { "batch" } else { "publish" }
    }

    /// Appends a publication, whose text `write` appends; it holds nothing that JSON escapes.
    pub(crate) fn add(&mut self, channel: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.len > 0 {
            self.bytes.push(b',');
        }
        self.len += 1;
        if self.is_batch {
            self.bytes.extend_from_slice(br#"{"publish":"#);
        }
        self.bytes.extend_from_slice(br#"{"channel":""#);
        self.bytes.extend_from_slice(channel.as_bytes());
        self.bytes.extend_from_slice(br#"","data":""#);
        write(&mut self.bytes);
        self.bytes.extend_from_slice(if self.is_batch { br#""}}"# } else { br#""}"# });
    }

    /// Returns the bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.is_batch {
            self.bytes.extend_from_slice(b"]}");
        }
        self.bytes
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<ApiError>,
    /// Of a batch, next to Centrifugo 5, which has them on top.
    result: Option<Replies>,
    replies: Option<Vec<Reply>>,
}

#[derive(Debug, Deserialize)]
struct Replies {
    replies: Option<Vec<Reply>>,
}

#[derive(Debug, Deserialize)]
struct Reply {
    error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
struct ApiError {
    code: u32,
    #[serde(default)]
    message: String,
}

/// Reads the answer to a request with `len` publications.
pub(crate) fn outcome(response: &Response, len: usize) -> Outcome {
    match response.status {
        200 => answers(&response.body, len),
        429 | 503 => Outcome::Later(response.retry_after_s.map_or(RETRY_AFTER, Duration::from_secs)),
        _ => Outcome::Refused(format!("answered \"{}\"{}", response.status_line, text(&response.body))),
    }
}

/// Returns whether a request without a channel was refused for a reason that holds for all requests: a wrong key,
/// another path.
pub(crate) fn refusal(response: &Response) -> Option<String> {
    let is_final = matches!(response.status, 401..=405 | 501);
    is_final.then(|| format!("answered \"{}\"{}", response.status_line, text(&response.body)))
}

fn answers(body: &[u8], len: usize) -> Outcome {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Outcome::Refused(format!("answered 200 with a body of another API{}", text(body)));
    };
    let replies = match (answer.error, answer.replies.or_else(|| answer.result?.replies)) {
        (error, None) if len == 1 => vec![Reply { error }],
        (None, Some(replies)) if replies.len() == len => replies,
        (Some(error), _) => vec![Reply { error: Some(error) }],
        _ => return Outcome::Refused(format!("did not answer each of {len} publications{}", text(body))),
    };
    let mut accepted = Vec::with_capacity(replies.len());
    for reply in replies {
        match reply.error {
            None => accepted.push(true),
            Some(error) if TEMPORARY.contains(&error.code) => accepted.push(false),
            Some(ApiError { code, message }) => {
                return Outcome::Refused(format!("refused a publication with code {code} ({message})"));
            }
        }
    }
    Outcome::Answered(accepted)
}

/// Returns what a body says, for a person.
fn text(body: &[u8]) -> String {
    let error = serde_json::from_slice::<Answer>(body).ok().and_then(|answer| answer.error);
    let text = error
        .map_or_else(|| String::from_utf8_lossy(&body[..body.len().min(120)]).trim().to_owned(), |error| error.message);
    if text.is_empty() { text } else { format!(" ({})", text.replace('\n', " ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let body = body.as_bytes().to_vec();
        Response { status, status_line: format!("{status} Text"), retry_after_s: None, is_last: false, body }
    }

    #[test]
    fn bodies_are_the_json_that_the_api_takes() {
        let json = |is_batch, texts: &[&str]| {
            let mut body = Body::new(is_batch);
            texts.iter().for_each(|text| body.add("news:a", |out| out.extend_from_slice(text.as_bytes())));
            serde_json::from_slice::<serde_json::Value>(&body.finish()).unwrap()
        };
        let one = serde_json::json!({"channel": "news:a", "data": "x"});
        assert_eq!(json(false, &["x"]), one);
        assert_eq!(json(true, &["x", "x"]), serde_json::json!({"commands": [{"publish": one}, {"publish": one}]}));
    }

    #[test]
    fn each_publication_has_its_answer() {
        let answered = |body: &str, len| outcome(&response(200, body), len);
        assert_eq!(answered(r#"{"result":{"offset":1,"epoch":"x"}}"#, 1), Outcome::Answered(vec![true]));
        let replies = r#"{"publish":{}},{"error":{"code":111,"message":"full"}}"#;
        for body in [format!(r#"{{"replies":[{replies}]}}"#), format!(r#"{{"result":{{"replies":[{replies}]}}}}"#)] {
            assert_eq!(answered(&body, 2), Outcome::Answered(vec![true, false]));
            assert!(matches!(answered(&body, 3), Outcome::Refused(_)), "one has no answer");
        }
        assert_eq!(
            answered(r#"{"error":{"code":102,"message":"no namespace"}}"#, 5),
            Outcome::Refused("refused a publication with code 102 (no namespace)".to_owned())
        );
        assert!(matches!(answered("hello", 1), Outcome::Refused(_)));
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        assert_eq!(outcome(&response(429, ""), 1), Outcome::Later(RETRY_AFTER));
        let busy = Response { retry_after_s: Some(7), ..response(503, "") };
        assert_eq!(outcome(&busy, 1), Outcome::Later(Duration::from_secs(7)));
        let wrong = response(401, r#"{"error":{"code":101,"message":"a key is required"}}"#);
        let text = "answered \"401 Text\" (a key is required)".to_owned();
        assert_eq!(outcome(&wrong, 1), Outcome::Refused(text.clone()));
        assert_eq!(refusal(&wrong), Some(text));
        assert_eq!(refusal(&response(400, "")), None, "the request without a channel is wrong, the key is not");
        assert_eq!(refusal(&response(503, "")), None);
    }
}
