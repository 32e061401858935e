//! The authorization server's side: calls to hooks, and what they are answered.

use countersign::clock::{Clock, SystemClock};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::task::JoinHandle;

use super::world::{AUDIENCE, NEW_SECRET, OPERATOR_KEY, SHOP_TOKEN};
use super::{PATIENCE, TestApp};

/// What a call was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

/// A call that is under way.
pub struct Held(JoinHandle<Answer>);

/// Alice's terminal asks for a scope of the ledger.
pub fn alice(scope: &str) -> Value {
    json!({
        "grant_type": "client_credentials", "client_id": "ledger-cli", "subject": "alice@example.com",
        "scope": scope, "audience": [AUDIENCE], "reason": "month end, PAY-7",
    })
}

/// A build job asks for itself.
pub fn job(scope: &str) -> Value {
    json!({ "grant_type": "client_credentials", "client_id": "build-job", "scope": scope, "audience": [AUDIENCE] })
}

/// The same with some members changed; `null` takes one away.
pub fn but(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.expect("an answer")
    }

    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, headers, text, body })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// A text of the body; empty where it is absent.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// Asserts that a token may be issued; answers the body.
    #[track_caller]
    pub fn granted(&self) -> &Value {
        assert_eq!((self.status, self.text("decision")), (200, "granted"), "{}", self.text);
        &self.body
    }

    /// Asserts that people are asked; answers the access request's identifier.
    #[track_caller]
    pub fn pending(&self) -> String {
        assert_eq!((self.status, self.text("decision")), (202, "pending"), "{}", self.text);
        assert_eq!(self.text("error"), "authorization_pending");
        self.text("request_id").to_owned()
    }

    /// Asserts a refusal; answers what it says.
    #[track_caller]
    pub fn denied(&self) -> &str {
        assert_eq!((self.status, self.text("decision")), (403, "denied"), "{}", self.text);
        self.text("error_description")
    }

    /// Asserts a problem document of this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], status);
        &self.body
    }
}

impl Held {
    /// What it is answered in the end.
    pub async fn answer(self) -> Answer {
        let answer = tokio::time::timeout(PATIENCE * 2, self.0).await.expect("an answer in time");
        answer.expect("the call ends")
    }

    /// Whether it has been answered.
    pub fn is_answered(&self) -> bool {
        self.0.is_finished()
    }

    /// The client gives up.
    pub fn give_up(self) {
        self.0.abort();
    }
}

impl TestApp {
    /// A call to a hook with its bearer token.
    pub fn hook(&self, name: &str, body: &Value) -> RequestBuilder {
        let call = self.http.post(self.url(&format!("/hooks/{name}"))).bearer_auth(SHOP_TOKEN);
        call.header("content-type", "application/json").body(body.to_string())
    }

    /// Asks without waiting, and lets what follows from it happen.
    pub async fn ask(&self, body: &Value) -> Answer {
        let answer = Answer::of(self.hook("shop", body)).await;
        self.settle().await;
        answer
    }

    /// Asks under a call identifier.
    pub async fn ask_as(&self, id: &str, body: &Value) -> Answer {
        let answer = Answer::of(self.hook("shop", body).header("webhook-id", id)).await;
        self.settle().await;
        answer
    }

    /// Asks and waits for the answer in the background.
    pub fn ask_held(&self, body: &Value, wait: u32) -> Held {
        Self::held(self.hook("shop", body).header("prefer", format!("wait={wait}")))
    }

    pub fn held(call: RequestBuilder) -> Held {
        Held(tokio::spawn(Answer::of(call)))
    }

    /// A call with a Standard Webhooks signature of this instant.
    pub fn signed_hook(&self, id: &str, body: &str) -> RequestBuilder {
        let at = SystemClock.now().timestamp();
        self.signed_hook_with(NEW_SECRET, id, at, body)
    }

    pub fn signed_hook_with(&self, secret: &str, id: &str, at: i64, body: &str) -> RequestBuilder {
        let signature = Webhook::new(secret).expect("a secret").sign(id, at, body.as_bytes()).expect("a signature");
        let call = self.http.post(self.url("/hooks/signed")).header("content-type", "application/json");
        let call = call.header("webhook-id", id).header("webhook-timestamp", at.to_string());
        call.header("webhook-signature", signature).body(body.to_owned())
    }

    /// `GET` as an operator.
    pub async fn operator_sees(&self, path: &str) -> Value {
        let answer = Answer::of(self.http.get(self.url(path)).bearer_auth(OPERATOR_KEY)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body
    }

    /// An operator ends a grant.
    pub async fn operator_revokes(&self, grant: &str, reason: &str) -> Answer {
        let call = self.http.post(self.url(&format!("/v1/grants/{grant}/revoke"))).bearer_auth(OPERATOR_KEY);
        let answer = Answer::of(call.json(&json!({ "reason": reason }))).await;
        self.settle().await;
        answer
    }
}
