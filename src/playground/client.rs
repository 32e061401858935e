//! The OAuth client of the page's left column: it calls the service's hook for real, and shows the
//! call hanging and the answer as the authorization server gets it. Also the operator's two calls
//! that the page needs: reading the audit and revoking.

use anyhow::{Context as _, bail};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::time::Instant;

use super::delivery::{failure, read_body};
use super::page::refusal;
use super::{HookCredential, Playground};

/// How many calls the page shows; the oldest go first.
const CALLS_MAX: usize = 50;

/// The longest wait that a call asks for, in seconds: less than the HTTP client's timeout.
const WAIT_MAX: u64 = 55;

/// The largest body that a call may have, in bytes: the page keeps the last calls.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The page's routes for the client and the operator.
pub fn routes() -> Router<Playground> {
    Router::new()
        .route("/page/presets", get(presets))
        .route("/page/ask", post(ask))
        .route("/page/call/{id}/retry", post(retry))
        .route("/page/audit", get(audit))
        .route("/page/policy", get(policy))
        .route("/page/revoke", post(revoke))
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    Waiting,
    Answered,
    Failed,
}

/// One call of the client to the hook.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    id: u64,
    at: String,
    body: Value,
    wait: u64,
    curl: String,
    state: Progress,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Whether a credential can be used at all.
///
/// # Errors
/// When a Standard Webhooks secret does not start with `whsec_` or is not base64.
pub fn usable(credential: &HookCredential) -> anyhow::Result<()> {
    match credential {
        HookCredential::Bearer(_) => Ok(()),
        HookCredential::Webhook(secret) if !secret.expose_secret().starts_with("whsec_") => {
            bail!("the hook's secret must start with whsec_")
        }
        HookCredential::Webhook(secret) => {
            Webhook::new(secret.expose_secret()).map(drop).context("the hook's secret cannot be used")
        }
    }
}

#[derive(Debug, Deserialize)]
struct Ask {
    body: Value,
    #[serde(default)]
    wait: u64,
}

async fn ask(State(playground): State<Playground>, Json(ask): Json<Ask>) -> Response {
    if ask.body.to_string().len() > BODY_BYTES_MAX {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the page sends at most 64 KiB");
    }
    started(playground.start_call(ask.body, ask.wait))
}

async fn retry(State(playground): State<Playground>, Path(id): Path<u64>) -> Response {
    let earlier = playground
        .read(|state| state.calls.iter().find(|call| call.id == id).map(|call| (call.body.clone(), call.wait)));
    match earlier {
        Some((body, wait)) => started(playground.start_call(body, wait)),
        None => refusal(StatusCode::NOT_FOUND, "there is no such call"),
    }
}

fn started(outcome: Result<u64, String>) -> Response {
    match outcome {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "call": id }))).into_response(),
        Err(why) => refusal(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// A call, ready to be sent.
struct Prepared {
    url: String,
    headers: Vec<(HeaderName, String)>,
    body: String,
}

impl Prepared {
    /// The same call for a terminal. It carries the credential of this run, as a client's own would:
    /// the page is read on this machine only.
    fn curl(&self) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))))
            .collect();
        format!("curl -sS {}{headers} \\\n  -d {}", quoted(&self.url), quoted(&self.body))
    }
}

/// Quoted for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Playground {
    /// Calls the hook in the background; answers the number under which the page shows it.
    fn start_call(&self, body: Value, wait: u64) -> Result<u64, String> {
        let wait = wait.min(WAIT_MAX);
        let prepared = self.prepare(&body, wait)?;
        let at = self.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let id = self.change(|state| {
            state.calls_made += 1;
            if state.calls.len() >= CALLS_MAX {
                state.calls.pop_front();
            }
            let (id, curl, state_now) = (state.calls_made, prepared.curl(), Progress::Waiting);
            let (took_ms, status, answer, why) = (None, None, None, None);
            state.calls.push_back(Call { id, at, body, wait, curl, state: state_now, took_ms, status, answer, why });
            id
        });
        let playground = self.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let outcome = playground.ask_hook(prepared).await;
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            playground.change(|state| {
                if let Some(call) = state.calls.iter_mut().find(|call| call.id == id) {
                    call.took_ms = Some(took);
                    settle(call, outcome);
                }
            });
        });
        Ok(id)
    }

    fn prepare(&self, body: &Value, wait: u64) -> Result<Prepared, String> {
        let service = self.read(|state| state.service_url.clone()).ok_or("the service is not connected yet")?;
        let url = format!("{service}/hooks/{}", self.0.hook.name);
        let body = body.to_string();
        let mut headers = vec![(HeaderName::from_static("content-type"), "application/json".to_owned())];
        if wait > 0 {
            headers.push((HeaderName::from_static("prefer"), format!("wait={wait}")));
        }
        match &self.0.hook.credential {
            HookCredential::Bearer(token) => {
                headers.push((HeaderName::from_static("authorization"), format!("Bearer {}", token.expose_secret())));
            }
            HookCredential::Webhook(secret) => {
                headers.extend(webhook_headers(secret, self.now().timestamp(), &body)?);
            }
        }
        Ok(Prepared { url, headers, body })
    }

    async fn ask_hook(&self, prepared: Prepared) -> Result<(u16, Value), String> {
        let mut request = self.0.hook_http.post(prepared.url);
        for (name, value) in prepared.headers {
            request = request.header(name, value);
        }
        answer_of(request.body(prepared.body)).await
    }

    /// Calls the operators' API with the demo's key.
    async fn operate(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Response {
        let Some(key) = &self.0.operator_key else {
            return refusal(StatusCode::NOT_FOUND, "there is no operator's key here");
        };
        let Some(service) = self.read(|state| state.service_url.clone()) else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the service is not connected yet");
        };
        let mut request = self.0.hook_http.request(method, format!("{service}{path}")).bearer_auth(key.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        match answer_of(request).await {
            Ok((status, answer)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                (status, Json(answer)).into_response()
            }
            Err(why) => refusal(StatusCode::BAD_GATEWAY, &why),
        }
    }
}

fn settle(call: &mut Call, outcome: Result<(u16, Value), String>) {
    match outcome {
        Ok((status, answer)) => {
            (call.state, call.status, call.answer) = (Progress::Answered, Some(status), Some(answer));
        }
        Err(why) => (call.state, call.why) = (Progress::Failed, Some(why)),
    }
}

fn webhook_headers(secret: &SecretString, now: i64, body: &str) -> Result<Vec<(HeaderName, String)>, String> {
    let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
    let webhook = Webhook::new(secret.expose_secret()).map_err(|error| error.to_string())?;
    let signature = webhook.sign(&id, now, body.as_bytes()).map_err(|error| error.to_string())?;
    Ok(vec![
        (HeaderName::from_static("webhook-id"), id),
        (HeaderName::from_static("webhook-timestamp"), now.to_string()),
        (HeaderName::from_static("webhook-signature"), signature),
    ])
}

/// Status and body; a body that is not JSON becomes a text.
async fn answer_of(request: reqwest::RequestBuilder) -> Result<(u16, Value), String> {
    let response = request.send().await.map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    let body = read_body(response).await?;
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn audit(State(playground): State<Playground>, Query(After { after }): Query<After>) -> Response {
    playground.operate(reqwest::Method::GET, &format!("/v1/audit?after={after}&limit=200"), None).await
}

async fn policy(State(playground): State<Playground>) -> Json<Value> {
    Json(json!({ "text": playground.0.policy_text, "file": playground.0.policy_file }))
}

#[derive(Debug, Deserialize)]
struct Revocation {
    grant_id: String,
    #[serde(default)]
    reason: String,
}

async fn revoke(State(playground): State<Playground>, Json(wanted): Json<Revocation>) -> Response {
    let id = wanted.grant_id;
    if id.is_empty() || id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    {
        return refusal(StatusCode::BAD_REQUEST, "that is not a grant's id");
    }
    let body = json!({ "reason": wanted.reason });
    playground.operate(reqwest::Method::POST, &format!("/v1/grants/{id}/revoke"), Some(body)).await
}

/// What the page offers to ask for, in the generic dialect.
async fn presets() -> Json<Value> {
    let payments = "https://payments.example.com";
    let code = "authorization_code";
    Json(json!([
        { "id": "alice-read", "title": "Alice's CLI reads invoices", "who": "person", "wait": 25, "body": {
            "grant_type": code, "client_id": "billing-cli", "subject": "alice@example.com",
            "scope": "invoices:read", "audience": [payments], "expires_in": 3600,
            "context": { "ip": "203.0.113.7" } } },
        { "id": "alice-refund", "title": "Alice's CLI refunds a customer", "who": "person", "wait": 25, "body": {
            "grant_type": code, "client_id": "billing-cli", "subject": "alice@example.com",
            "scope": "invoices:read payments:refund", "audience": [payments], "expires_in": 3600,
            "reason": "refund PAY-4821", "context": { "ip": "203.0.113.7" } } },
        { "id": "build-refund", "title": "The nightly build corrects a payment", "who": "build job", "wait": 25, "body": {
            "grant_type": "client_credentials", "client_id": "ci-nightly", "scope": "payments:refund",
            "audience": [payments], "expires_in": 900, "reason": "reconcile PAY-5003" } },
        { "id": "build-export", "title": "The nightly build exports all customers", "who": "build job", "wait": 25, "body": {
            "grant_type": "client_credentials", "client_id": "ci-nightly", "scope": "customers:export",
            "audience": [payments], "expires_in": 900, "reason": "nightly copy" } },
        { "id": "agent-refund", "title": "An AI agent refunds on Alice's behalf", "who": "AI agent", "wait": 25, "body": {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": "support-agent",
            "subject": "alice@example.com", "actor": ["agent:support"], "scope": "payments:refund",
            "audience": [payments], "expires_in": 600, "reason": "customer asked in PAY-4999",
            "context": { "ip": "198.51.100.23" } } },
        { "id": "desk-less", "title": "Alice's desk app asks for more than it needs", "who": "person", "way": "less", "wait": 55, "body": {
            "grant_type": code, "client_id": "desk-app", "subject": "alice@example.com",
            "scope": "invoices:read payments:read payments:refund", "audience": [payments], "expires_in": 7200,
            "reason": "refund PAY-4830", "context": { "ip": "203.0.113.7" } } },
        { "id": "alice-export", "title": "Alice exports customers: the owner and a lead", "who": "person", "way": "two groups", "wait": 55, "body": {
            "grant_type": code, "client_id": "crm-export", "subject": "alice@example.com", "scope": "customers:export",
            "audience": [payments], "expires_in": 900, "reason": "data request DSR-12" } },
        { "id": "alice-payout", "title": "Alice changes a payout account: type the number", "who": "person", "way": "number", "wait": 55, "body": {
            "grant_type": code, "client_id": "payout-desk", "subject": "alice@example.com", "scope": "payouts:change",
            "audience": [payments], "expires_in": 900, "reason": "new bank account, PAY-5120", "binding_message": "4217" } },
        { "id": "alice-keys", "title": "Alice replaces signing keys: sign in again", "who": "person", "way": "sign in", "wait": 55, "body": {
            "grant_type": code, "client_id": "vault-cli", "subject": "alice@example.com", "scope": "keys:rotate",
            "audience": [payments], "expires_in": 1800, "reason": "yearly rotation, SEC-9" } },
        { "id": "carol-glass", "title": "Carol is on call and breaks the glass", "who": "person", "way": "emergency", "wait": 0, "body": {
            "grant_type": code, "client_id": "ops-cli", "subject": "carol@example.com", "scope": "prod:admin",
            "audience": [payments], "expires_in": 1800, "reason": "payments are down, INC-77",
            "context": { "break_glass": true } } },
    ]))
}
