//! The stand-in over HTTP: what it refuses, what it sends, what it shows to whom.

mod asking;
mod breaking;
mod clicking;
mod commands;
mod events;
mod forms;
mod guarding;
mod installing;
mod menus;
mod posting;
mod rules;
mod socket_mode;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use chrono::DateTime;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{HookAccess, HookCredential, Playground, Settings, Workspace};
use crate::clock::ManualClock;

const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const BOT_TOKEN: &str = "stand-in-bot-token";
const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request that the service received.
struct Received {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Received {
    /// The JSON of an interaction's form field.
    fn payload(&self) -> Value {
        let fields: Vec<(String, String)> = serde_urlencoded::from_str(&self.body).expect("a form");
        assert_eq!(fields.len(), 1, "one field, payload");
        serde_json::from_str(&fields[0].1).expect("JSON in the payload")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// A stand-in and a service that records what it receives, both on loopback ports of their own.
struct Stage {
    playground: Playground,
    clock: ManualClock,
    url: String,
    http: reqwest::Client,
    received: mpsc::UnboundedReceiver<Received>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn settings(credential: HookCredential) -> Settings {
    Settings {
        signing_secret: SecretString::from(SIGNING_SECRET),
        bot_token: SecretString::from(BOT_TOKEN),
        workspace: Workspace::demo(),
        hook: HookAccess { name: "demo".to_owned(), credential },
        operator_key: Some(SecretString::from("operators-key")),
        policy_text: "[approvers]".to_owned(),
        policy_file: "policy.toml".to_owned(),
        page: true,
    }
}

async fn stage() -> Stage {
    stage_with(HookCredential::Webhook(SecretString::from(HOOK_SECRET))).await
}

async fn stage_with(credential: HookCredential) -> Stage {
    let clock = ManualClock::starting_at(DateTime::from_timestamp(1_795_460_000, 0).expect("a time"));
    let playground = Playground::new(settings(credential), Arc::new(clock.clone())).expect("a stand-in");
    let (seen, received) = mpsc::unbounded_channel();
    let answers: Arc<Mutex<VecDeque<(u16, String)>>> = Arc::default();
    let next = Arc::clone(&answers);
    let service = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let (status, answer) = next.lock().expect("answers").pop_front().unwrap_or((200, String::new()));
        let body = String::from_utf8(body.to_vec()).expect("text");
        let path = uri.path_and_query().map_or(String::new(), ToString::to_string);
        seen.send(Received { path, headers, body }).expect("the test listens");
        async move { (StatusCode::from_u16(status).expect("a status"), answer) }
    });
    playground.connect(format!("{}/", serve(service).await));
    let url = serve(playground.router()).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    Stage { playground, clock, url, http, received, answers }
}

impl Stage {
    /// A Web API call with the right token; answers the JSON.
    async fn slack(&self, method: &str, arguments: Value) -> Value {
        self.try_slack(method, arguments).await.expect("an answer").json().await.expect("JSON")
    }

    async fn try_slack(&self, method: &str, arguments: Value) -> reqwest::Result<reqwest::Response> {
        self.http.post(format!("{}/api/{method}", self.url)).bearer_auth(BOT_TOKEN).json(&arguments).send().await
    }

    /// A POST of the page; answers status and JSON (null when there is no body).
    async fn page(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.http.post(format!("{}{path}", self.url)).json(&body).send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.expect("JSON")
    }

    /// What a person sees in a channel.
    async fn sees(&self, person: &str, channel: &str) -> Vec<Value> {
        let state = self.get(&format!("/page/state?as={person}")).await;
        state["messages"][channel].as_array().cloned().unwrap_or_default()
    }

    async fn fault(&self, fault: Value) {
        assert_eq!(self.page("/faults", fault).await.0, 204);
    }

    async fn next(&mut self) -> Received {
        self.received.recv().await.expect("a request to the service")
    }

    fn nothing_more(&mut self) {
        assert!(self.received.try_recv().is_err(), "the service received more than expected");
    }

    fn answer_next(&self, status: u16, body: impl ToString) {
        self.answers.lock().expect("answers").push_back((status, body.to_string()));
    }

    /// A card with one button in #approvals; answers its ts.
    async fn card(&self) -> String {
        let posted = self.slack("chat.postMessage", card("C0APPROVALS")).await;
        assert_eq!(posted["ok"], true, "{posted}");
        posted["ts"].as_str().expect("a ts").to_owned()
    }
}

/// A small card in the shape of a real one.
fn card(channel: &str) -> Value {
    json!({
        "channel": channel, "text": "Approval needed", "unfurl_links": false,
        "metadata": { "event_type": "access_request", "event_payload": { "request_id": "req_1" } },
        "blocks": [
            { "type": "section", "block_id": "lead", "text": { "type": "mrkdwn", "text": "Alice asks", "verbatim": true } },
            { "type": "actions", "block_id": "decide", "elements": [
                button("approve", "Approve", "value-1"), button("deny", "Deny…", "value-2"),
            ] },
        ],
    })
}

fn button(action: &str, text: &str, value: &str) -> Value {
    json!({ "type": "button", "action_id": action, "text": { "type": "plain_text", "text": text }, "value": value })
}

/// HMAC-SHA256 by the book (RFC 2104), so that the check does not share code with what it checks.
fn hmac_sha256_hex(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    assert!(key.len() <= 64);
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36).as_slice(), message].concat());
    let outer = Sha256::digest([pad(0x5c).as_slice(), inner.as_slice()].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}
