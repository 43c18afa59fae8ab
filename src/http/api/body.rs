//! The body of a request: read as a whole, within a size and a time.

use super::error::{ApiError, ErrorKind};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;
use tokio::time::timeout;

/// Reads a body of at most `bytes_max` bytes. One that says it is larger is not read at all.
pub(super) async fn read(body: Incoming, bytes_max: usize, time: Duration) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(body.size_hint().lower(), bytes_max));
    }
    timeout(time, collect(body, bytes_max)).await.unwrap_or_else(|_| {
        let time = humantime::format_duration(time);
        Err(ApiError::new(ErrorKind::BodyTimeout, format!("the body did not arrive within --message-timeout {time}")))
    })
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, ApiError> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body ended early, or its chunks are malformed"))?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        let bytes = first.len() + rest.len() + data.len();
        if bytes > bytes_max {
            return Err(too_large(bytes as u64, bytes_max));
        }
        // Most bodies are one frame, which is not copied.
        match (first.is_empty(), rest.is_empty()) {
            (true, true) => first = data,
            (false, _) => {
                rest.extend_from_slice(&std::mem::take(&mut first));
                rest.extend_from_slice(&data);
            }
            (true, false) => rest.extend_from_slice(&data),
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(bytes: u64, bytes_max: usize) -> ApiError {
    let text = format!("the body: {bytes} bytes or more; --api-body-bytes-max is {bytes_max}");
    ApiError::new(ErrorKind::BodyTooLarge, text)
}
