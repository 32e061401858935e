//! For the tests of this folder: a Web API on a free port of the loopback that answers what it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, Uri};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Deadlines, Slack};

/// What a method answers.
#[derive(Clone)]
pub enum Answer {
    /// 200 with this JSON.
    Json(Value),
    /// This status, header and body.
    Raw(u16, Option<(&'static str, &'static str)>, String),
    /// Nothing, ever.
    Hang,
}

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub query: String,
    pub body: Value,
    pub authorization: String,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    calls: Vec<Call>,
}

#[derive(Clone, Default)]
pub struct FakeSlack(Arc<Mutex<Script>>);

impl FakeSlack {
    /// Starts it; answers with it and with a client of it whose deadlines are short.
    pub async fn start() -> (Self, Slack) {
        let fake = Self::default();
        let app = Router::new().route("/api/{method}", axum::routing::any(Self::serve)).with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slack = client(&format!("http://{}/api/", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (fake, slack)
    }

    async fn serve(
        State(fake): State<Self>,
        Path(method): Path<String>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let answer = {
            let mut script = fake.0.lock().unwrap();
            script.calls.push(Call {
                method: method.clone(),
                query: uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                authorization: headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default(),
            });
            script.answers.get(&method).cloned()
        };
        match answer.unwrap_or_else(|| Answer::Json(json!({ "ok": false, "error": "unknown_method" }))) {
            Answer::Json(value) => Response::new(Body::from(value.to_string())),
            Answer::Raw(status, header, text) => {
                let mut response = Response::builder().status(status);
                if let Some((name, value)) = header {
                    response = response.header(name, value);
                }
                response.body(Body::from(text)).unwrap()
            }
            Answer::Hang => std::future::pending().await,
        }
    }

    pub fn says(&self, method: &str, answer: Answer) {
        self.0.lock().unwrap().answers.insert(method.to_owned(), answer);
    }

    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.0.lock().unwrap().calls.iter().filter(|call| call.method == method).cloned().collect()
    }
}

/// A client with deadlines that a test can wait for.
pub fn client(api_url: &str) -> Slack {
    let short = Duration::from_millis(150);
    let deadlines = Deadlines { connect: Duration::from_secs(3), patient: short * 2, interactive: short };
    Slack::with_deadlines(api_url, &SecretString::from("xoxb-canary"), deadlines).unwrap()
}
