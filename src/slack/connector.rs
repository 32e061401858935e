//! How slack-morphism's calls reach Slack: over the service's own HTTP client, with real deadlines.
//!
//! Success is `ok: true` and nothing else. No error that leaves this file carries a body, an address or a
//! token: a Slack answer can hold a `response_url`, which is a capability.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::{Client, RequestBuilder, Response};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Error as _};
use serde_json::Value;
use slack_morphism::errors::{
    SlackClientApiError, SlackClientError, SlackClientHttpError, SlackClientHttpProtocolError,
    SlackClientProtocolError, SlackClientSystemError, SlackRateLimitError,
};
use slack_morphism::multipart_form::FileMultipartData;
use slack_morphism::{
    ClientResult, SlackClientApiCallContext, SlackClientHttpConnector, SlackClientId, SlackClientSecret,
};
use thiserror::Error;
use url::Url;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A call that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Lost {
    /// No connection was made, so nothing was sent.
    #[error("no connection could be made")]
    BeforeSending,
    /// The deadline passed; Slack may have done it.
    #[error("no answer before the deadline")]
    TimedOut,
    /// The connection broke; Slack may have done it.
    #[error("the connection broke")]
    Broken,
}

/// One way of calling Slack: a shared client, the address of the Web API, and a deadline for each call.
#[derive(Debug, Clone)]
pub(super) struct Http {
    /// The client; its connections are shared by all clones.
    pub client: Client,
    /// The address of the Web API, without a slash at its end.
    pub base: String,
    /// How long one call may take in all, from connecting to the last byte.
    pub deadline: Duration,
}

/// The client: no redirects (they would carry the token elsewhere), no proxy from the environment.
pub(super) fn client(connect_deadline: Duration) -> reqwest::Result<Client> {
    Client::builder().connect_timeout(connect_deadline).redirect(reqwest::redirect::Policy::none()).no_proxy().build()
}

impl Http {
    fn prepared(&self, call: RequestBuilder, context: &SlackClientApiCallContext<'_>) -> RequestBuilder {
        let call = call.timeout(self.deadline);
        match context.token {
            Some(token) => call.bearer_auth(&token.token_value.0),
            None => call,
        }
    }
}

async fn answer_of<RS: DeserializeOwned>(call: RequestBuilder) -> ClientResult<RS> {
    let mut response = call.send().await.map_err(lost)?;
    let status = response.status();
    let wait = retry_after(&response);
    if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
        return Err(limited(wait));
    }
    if !status.is_success() {
        return Err(SlackClientError::HttpError(SlackClientHttpError::new(status)));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(unreadable("it is too long"));
        }
        body.extend_from_slice(&piece);
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|_| unreadable("it is not JSON"))?;
    match answer["ok"].as_bool() {
        Some(true) => serde_json::from_value(answer).map_err(|_| unreadable("a member is missing or of another type")),
        Some(false) => match answer["error"].as_str().unwrap_or("no_error_named") {
            "ratelimited" | "rate_limited" => Err(limited(wait)),
            code => Err(SlackClientError::ApiError(SlackClientApiError::new(plain(code)))),
        },
        None => Err(unreadable("it does not say whether it is ok")),
    }
}

/// An error code as Slack writes them; anything else is not repeated in our own words.
fn plain(code: &str) -> String {
    let known_form = (1..=80).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if known_form { code.to_owned() } else { "an_unreadable_error".to_owned() }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn limited(wait: Option<Duration>) -> SlackClientError {
    SlackClientError::RateLimitError(SlackRateLimitError::new().opt_retry_after(wait))
}

fn lost(error: reqwest::Error) -> SlackClientError {
    let what = if error.is_connect() || error.is_builder() {
        Lost::BeforeSending
    } else if error.is_timeout() {
        Lost::TimedOut
    } else {
        Lost::Broken
    };
    SlackClientError::HttpProtocolError(SlackClientHttpProtocolError::new().with_cause(Box::new(what)))
}

fn unreadable(why: &str) -> SlackClientError {
    SlackClientError::ProtocolError(SlackClientProtocolError::new(serde_json::Error::custom(why)))
}

fn unused<'a, RS: Send + 'a>() -> BoxFuture<'a, ClientResult<RS>> {
    let why = SlackClientSystemError::new().with_message("this service does not call it".to_owned());
    std::future::ready(Err(SlackClientError::SystemError(why))).boxed()
}

impl SlackClientHttpConnector for Http {
    fn create_method_uri_path(&self, method: &str) -> ClientResult<Url> {
        Ok(format!("{}/{method}", self.base).parse()?)
    }

    fn http_get_uri<'a, RS>(
        &'a self,
        address: Url,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        answer_of(self.prepared(self.client.get(address), &context)).boxed()
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        address: Url,
        body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RQ: Serialize + Send + Sync,
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        answer_of(self.prepared(self.client.post(address).json(body), &context)).boxed()
    }

    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        _: Url,
        _: &'a SlackClientId,
        _: &'a SlackClientSecret,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        unused()
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        _: Url,
        _: Option<FileMultipartData<'p>>,
        _: &'p PT,
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
        PT: IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        unused()
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        _: Url,
        _: String,
        _: &'a [u8],
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        unused()
    }
}
