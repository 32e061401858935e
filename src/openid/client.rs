//! HTTP for the OpenID library: our client, with deadlines and limits, and errors without contents.

use std::time::Duration;

use openidconnect::http;
use openidconnect::{HttpRequest, HttpResponse};
use thiserror::Error;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A call that brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Lost {
    #[error("no answer")]
    NoAnswer,
    #[error("the answer is too long")]
    TooLong,
    #[error("the call cannot be made")]
    NotMade,
}

/// No redirects, which would carry a code elsewhere; no proxy from the environment.
pub(super) fn new() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// One call.
pub(super) async fn call(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Lost> {
    let request = reqwest::Request::try_from(request).map_err(|_| Lost::NotMade)?;
    let mut response = client.execute(request).await.map_err(|_| Lost::NoAnswer)?;
    let mut built = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        built = built.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| Lost::NoAnswer)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(Lost::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    built.body(body).map_err(|_| Lost::NoAnswer)
}
