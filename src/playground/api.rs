//! The Web API: `POST` or `GET /api/{method}`, arguments as JSON, form or query, Slack's answers.

use std::collections::VecDeque;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::{self, Arguments};
use super::installs::{Installation, Seat};
use super::records::Refused;
use super::{Held, Playground, faults, methods, sockets};
use crate::clock::Timestamp;

/// How many calls the log keeps; the oldest go first.
const LOG_MAX: usize = 2_000;

/// Arguments that are larger, in bytes, are not kept in the log.
const LOGGED_ARGUMENTS_MAX: usize = 64 << 10;

/// One Web API call that arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Logged {
    n: u64,
    /// When it arrived, by the stand-in's clock.
    at: String,
    method: String,
    args: Value,
    answered: String,
}

/// The calls that arrived, in order.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Logged>,
    arrived: u64,
}

impl Log {
    fn arrival(&mut self, method: &str, arguments: &Arguments, now: Timestamp) -> u64 {
        self.arrived += 1;
        if self.entries.len() >= LOG_MAX {
            self.entries.pop_front();
        }
        let (n, method, at) = (self.arrived, method.to_owned(), now.to_rfc3339_opts(SecondsFormat::Millis, true));
        let (args, answered) = (without_tokens(arguments), "pending".to_owned());
        self.entries.push_back(Logged { n, at, method, args, answered });
        n
    }

    pub(super) fn answers_slowly(&self, after: u64) -> bool {
        let slow = |entry: &Logged| entry.answered.starts_with("fault:slow");
        self.entries.iter().rev().take_while(|entry| entry.n > after).any(slow)
    }

    fn answered(&mut self, n: u64, how: String) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.n == n) {
            entry.answered = how;
        }
    }
}

/// Which calls are wanted.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// Those after this number.
    #[serde(default)]
    after: u64,
}

/// `GET /log`: the calls seen, oldest first. Tokens never stand in it.
pub async fn log(State(playground): State<Playground>, Query(wanted): Query<Wanted>) -> Json<Vec<Logged>> {
    let later = |entry: &&Logged| entry.n > wanted.after;
    Json(playground.read(|state| state.log.entries.iter().filter(later).cloned().collect()))
}

/// Arguments as they may be kept: no `token`, nothing that looks like a token of Slack, nothing huge.
fn without_tokens(arguments: &Arguments) -> Value {
    let kept: Arguments =
        arguments.iter().filter(|(key, _)| *key != "token").map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut kept = Value::Object(kept);
    hide_tokens(&mut kept);
    match kept.to_string().len() {
        size if size > LOGGED_ARGUMENTS_MAX => json!({ "too_large": size }),
        _ => kept,
    }
}

fn hide_tokens(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("xox") || text.contains("xapp-") => *text = "(hidden)".to_owned(),
        Value::Array(list) => list.iter_mut().for_each(hide_tokens),
        Value::Object(members) => members.values_mut().for_each(hide_tokens),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Any Web API call.
pub async fn call(
    State(playground): State<Playground>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let arguments = arguments::read(query.as_deref(), &headers, &body);
    let known = arguments.clone().unwrap_or_default();
    let now = playground.now();
    let (n, plugged, fault) = playground.change(|state| {
        let n = state.log.arrival(&method, &known, now);
        let fault = state.plugged.then(|| state.faults.for_call(&method)).flatten();
        if let Some(fault) = &fault {
            state.log.answered(n, fault.name());
        }
        (n, state.plugged, fault)
    });
    if !plugged {
        playground.change(|state| state.log.answered(n, "fault:unplugged".to_owned()));
        return faults::cut();
    }
    if let Some(fault) = &fault {
        tokio::time::sleep(fault.delay()).await;
    }
    let performed = fault.as_ref().is_none_or(faults::Fault::performs).then(|| {
        let now = playground.now();
        playground.change(|state| perform(state, &method, &headers, arguments, now))
    });
    if let Some(fault) = &fault {
        tokio::time::sleep(fault.afterwards()).await;
    }
    let instead = fault.as_ref().and_then(faults::Fault::answer);
    match (instead, performed) {
        (Some(instead), _) => instead,
        (None, Some((how, answer))) => {
            playground.change(|state| state.log.answered(n, how));
            answer
        }
        (None, None) => faults::cut(),
    }
}

/// Finds out whose call it is and performs it; answers how the log calls the answer, and the answer.
fn perform(
    state: &mut Held,
    method: &str,
    headers: &HeaderMap,
    arguments: Result<Arguments, Refused>,
    now: Timestamp,
) -> (String, Response) {
    let shown = token(headers, arguments.as_ref().ok()).unwrap_or_default();
    if method == "apps.connections.open" {
        return answer(sockets::open(state, &shown, headers, now), None);
    }
    let seat = authorized(state, &shown);
    let outcome = seat.clone().and_then(|seat| methods::call(state.installs.at_mut(seat), method, &arguments?, now));
    answer(outcome, seat.ok().map(|seat| state.installs.at(seat)))
}

/// Slack's answer, and how the log calls it.
fn answer(outcome: Result<Value, Refused>, whose: Option<&Installation>) -> (String, Response) {
    let provided = whose.map(|held| held.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    headers
        .insert(HeaderName::from_static("x-stand-in"), HeaderValue::from_static("countersign playground, not Slack"));
    if let Some(scopes) = provided.as_deref().and_then(|scopes| HeaderValue::from_str(scopes).ok()) {
        headers.insert(HeaderName::from_static("x-oauth-scopes"), scopes);
    }
    let (how, body) = match outcome {
        Ok(mut value) => {
            value["ok"] = json!(true);
            ("ok".to_owned(), value)
        }
        Err(refused) => {
            let mut body = json!({ "ok": false, "error": refused.code });
            if !refused.messages.is_empty() {
                body["errors"] = json!(refused.messages);
                body["response_metadata"] = json!({ "messages": refused.messages });
            }
            if let Some(needed) = refused.needed {
                (body["needed"], body["provided"]) = (json!(needed), json!(provided));
            }
            if let Some(wait) = refused.retry_after {
                status = StatusCode::TOO_MANY_REQUESTS;
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
            (format!("error:{}", refused.code), body)
        }
    };
    (how, (status, headers, Json(body)).into_response())
}

/// The token that a call shows, in its header or among its arguments.
fn token(headers: &HeaderMap, arguments: Option<&Arguments>) -> Option<String> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let argument = || arguments.and_then(|all| all.get("token")).and_then(Value::as_str);
    bearer.or_else(argument).map(str::to_owned)
}

/// The token must be one of the stand-in's own. Any other is refused, a real one of Slack above all.
fn authorized(state: &Held, shown: &str) -> Result<Seat, Refused> {
    if shown.is_empty() {
        return Err("not_authed".into());
    }
    match (state.installs.of_token(shown), state.installs.of_app_token(shown)) {
        (Some(seat), _) => Ok(seat),
        (None, Some(_)) => Err("not_allowed_token_type".into()),
        (None, None) => Err("invalid_auth".into()),
    }
}
