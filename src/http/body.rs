//! Reading a body: so much, so fast, and no further.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::door::Rendered;

/// The largest body of any door, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a caller may take to send its body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The head and the whole body of a request.
pub async fn read(request: Request) -> Result<(Parts, Bytes), Rendered> {
    let (parts, body) = request.into_parts();
    let declared = parts.headers.get("content-length").and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(Rendered::too_large(BODY_BYTES_MAX));
    }
    let reading = collect(body);
    match tokio::time::timeout(BODY_DEADLINE, reading).await {
        Ok(read) => read.map(|bytes| (parts, bytes)),
        Err(_) => Err(Rendered::problem(408, "about:blank", "Request Timeout", "The body took too long to arrive.")
            .header("connection", "close")),
    }
}

async fn collect(body: Body) -> Result<Bytes, Rendered> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        // A copy, because the original is a part of the connection's read buffer, which would have to stay as long.
        Ok(collected) => Ok(Bytes::copy_from_slice(&collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Rendered::too_large(BODY_BYTES_MAX)),
        Err(_) => Err(Rendered::problem(400, "about:blank", "Bad Request", "The body could not be read.")),
    }
}
