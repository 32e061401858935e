//! Faults that can be switched on: what a network and a busy Slack do to calls.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Playground;

/// How many faults may be switched on at once.
const FAULTS_MAX: usize = 100;

/// How long a hanging call hangs before its connection is cut: longer than any client waits.
const HANG: Duration = Duration::from_secs(600);

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Status 500; the call is not performed.
    #[serde(rename = "http_500")]
    Http500,
    /// Status 503; the call is not performed.
    #[serde(rename = "http_503")]
    Http503,
    /// Status 429 with `Retry-After`; the call is not performed.
    RateLimited,
    /// No answer at all; the call is not performed.
    Hang,
    /// The connection ends in the middle of the answer; the call is not performed.
    Reset,
    /// Status 200 and something that is not JSON; the call is not performed.
    Malformed,
    /// Status 200 and nothing; the call is not performed.
    Empty,
    /// `{"ok": false}` with an error code; the call is not performed.
    NotOk,
    /// The call is performed after a while.
    Slow,
    /// The call is performed at once, and answered after a while.
    SlowAnswer,
    /// The call is performed, and its answer is lost.
    LostAnswer,
    /// The connection ends at once, as without a network; the call is not performed.
    Unplugged,
    /// The call is performed; then the connection ends in the middle of the answer.
    PerformedReset,
    /// Each signed interaction or event is sent twice, at the same instant.
    DuplicateInteractions,
    /// An interaction or event is kept until somebody releases it.
    HoldBack,
}

impl Kind {
    /// Whether it befalls what goes to the app, not the app's calls.
    fn is_outward(self) -> bool {
        matches!(self, Self::DuplicateInteractions | Self::HoldBack)
    }
}

/// One fault that is switched on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The Web API method that it befalls, or the type of an interaction; `*` is every one.
    #[serde(default = "every")]
    pub method: String,
    /// What happens.
    pub kind: Kind,
    /// The error code of `not_ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds that `rate_limited` asks to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Milliseconds that `slow` and `slow_answer` take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How often it still happens; absent: until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

fn every() -> String {
    "*".to_owned()
}

/// The faults that are switched on, oldest first: the first that fits befalls a call.
#[derive(Debug, Default)]
pub struct Faults(VecDeque<Fault>);

impl Faults {
    /// The fault that befalls this Web API call, counted down.
    pub fn for_call(&mut self, method: &str) -> Option<Fault> {
        self.take(method, |kind| !kind.is_outward())
    }

    /// How many times this interaction is sent.
    pub fn deliveries(&mut self, interaction: &str) -> usize {
        match self.take(interaction, |kind| kind == Kind::DuplicateInteractions) {
            Some(_) => 2,
            None => 1,
        }
    }

    /// Whether this interaction is kept for later.
    pub fn holds_back(&mut self, interaction: &str) -> bool {
        self.take(interaction, |kind| kind == Kind::HoldBack).is_some()
    }

    fn take(&mut self, method: &str, fits: impl Fn(Kind) -> bool) -> Option<Fault> {
        let at = self.0.iter().position(|fault| fits(fault.kind) && (fault.method == "*" || fault.method == method))?;
        let fault = self.0.get_mut(at)?;
        let befalls = fault.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.0.remove(at);
            }
        }
        Some(befalls)
    }
}

impl Fault {
    /// How long the call waits before it goes on.
    pub fn delay(&self) -> Duration {
        match self.kind {
            Kind::Slow => Duration::from_millis(self.delay_ms.unwrap_or(500)),
            Kind::Hang => HANG,
            Kind::Http500
            | Kind::Http503
            | Kind::RateLimited
            | Kind::Reset
            | Kind::Malformed
            | Kind::Empty
            | Kind::NotOk
            | Kind::SlowAnswer
            | Kind::LostAnswer
            | Kind::Unplugged
            | Kind::PerformedReset
            | Kind::DuplicateInteractions
            | Kind::HoldBack => Duration::ZERO,
        }
    }

    /// How long the answer waits after the call was performed.
    pub fn afterwards(&self) -> Duration {
        let slow = self.kind == Kind::SlowAnswer;
        Duration::from_millis(if slow { self.delay_ms.unwrap_or(500) } else { 0 })
    }

    /// What is answered instead of the call's own answer. `None`: the call's own answer is.
    pub fn answer(&self) -> Option<Response> {
        let code = self.error.as_deref().unwrap_or("fatal_error");
        match self.kind {
            Kind::Http500 => Some((StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()),
            Kind::Http503 => Some((StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response()),
            Kind::RateLimited => {
                let wait = [(header::RETRY_AFTER, self.retry_after.unwrap_or(1).to_string())];
                let body = Json(json!({ "ok": false, "error": "ratelimited" }));
                Some((StatusCode::TOO_MANY_REQUESTS, wait, body).into_response())
            }
            Kind::Reset | Kind::PerformedReset => Some(broken_off()),
            Kind::Malformed => Some(json_text("{\"ok\":true,\"channel\":\"C0")),
            Kind::Empty => Some(json_text("")),
            Kind::NotOk => Some(Json(json!({ "ok": false, "error": code })).into_response()),
            Kind::Hang | Kind::LostAnswer | Kind::Unplugged => Some(cut()),
            Kind::Slow | Kind::SlowAnswer | Kind::DuplicateInteractions | Kind::HoldBack => None,
        }
    }

    /// Whether the call happens all the same.
    pub fn performs(&self) -> bool {
        match self.kind {
            Kind::Slow
            | Kind::SlowAnswer
            | Kind::LostAnswer
            | Kind::PerformedReset
            | Kind::DuplicateInteractions
            | Kind::HoldBack => true,
            Kind::Http500
            | Kind::Http503
            | Kind::RateLimited
            | Kind::Hang
            | Kind::Reset
            | Kind::Malformed
            | Kind::Empty
            | Kind::NotOk
            | Kind::Unplugged => false,
        }
    }

    /// The fault's name in the log of calls.
    pub fn name(&self) -> String {
        let kind = serde_json::to_value(self.kind).unwrap_or_default();
        format!("fault:{}", kind.as_str().unwrap_or_default())
    }
}

fn json_text(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
}

/// Ends the connection without an answer: the body fails before the head was sent.
pub fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut by the stand-in")) });
    Response::new(Body::from_stream(broken))
}

/// Sends the head and a piece of the answer, then ends the connection.
fn broken_off() -> Response {
    let pieces = futures_util::stream::unfold(0_u8, |sent| async move {
        match sent {
            0 => Some((Ok(Bytes::from_static(b"{\"ok\":true,")), 1)),
            1 => {
                // One turn of the scheduler, so that the first piece goes out before the end comes.
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("cut by the stand-in")), 2))
            }
            _ => None,
        }
    });
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], Body::from_stream(pieces)).into_response()
}

/// `POST /faults`: switches one on.
pub async fn add(State(playground): State<Playground>, Json(fault): Json<Fault>) -> Response {
    let added = playground.change(|state| {
        let room = state.faults.0.len() < FAULTS_MAX;
        if room {
            state.faults.0.push_back(fault);
        }
        room
    });
    match added {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (StatusCode::CONFLICT, Json(json!({ "error": "too many faults are switched on" }))).into_response(),
    }
}

/// `DELETE /faults`: switches all off.
pub async fn clear(State(playground): State<Playground>) -> Result<StatusCode, Infallible> {
    playground.change(|state| state.faults.0.clear());
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /faults`: those that are switched on.
pub async fn list(State(playground): State<Playground>) -> Json<Vec<Fault>> {
    Json(playground.read(|state| state.faults.0.iter().cloned().collect()))
}
