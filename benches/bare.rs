//! The baseline of the first part: a bare axum handler that verifies the same signature and parses the same body,
//! and does nothing else. A hidden mode of this program, so that it is built as the service is built.

use std::process::ExitCode;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use standardwebhooks::Webhook;
use std::sync::Arc;
use tokio::net::TcpListener;

use crate::report::say;

/// The argument that asks for this mode.
pub const MODE: &str = "bare-axum";

/// The members of the generic dialect.
#[derive(Deserialize)]
struct Call {
    grant_type: String,
    client_id: String,
    subject: String,
    scope: String,
    audience: Vec<String>,
    expires_in: u64,
    reason: String,
    context: serde_json::Map<String, Value>,
}

/// Serves until it is killed.
pub fn serve() -> anyhow::Result<ExitCode> {
    let secret = std::env::var("BILLING_HOOK_SECRET").context("BILLING_HOOK_SECRET")?;
    let key = Arc::new(Webhook::new(&secret).map_err(|error| anyhow::anyhow!("{error}"))?);
    tokio::runtime::Runtime::new()?.block_on(async {
        let router = Router::new().route("/hooks/{name}", post(called)).with_state(key);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("ready on {}", listener.local_addr()?));
        axum::serve(listener, router).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn called(State(key): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if key.verify(&body, &headers).is_err() {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let Ok(call) = serde_json::from_slice::<Call>(&body) else { return (StatusCode::BAD_REQUEST, String::new()) };
    let members = [call.grant_type.len(), call.client_id.len(), call.subject.len(), call.reason.len()];
    let read = members.iter().sum::<usize>() + call.audience.len() + call.context.len();
    (StatusCode::OK, format!(r#"{{"scope":"{}","expires_in":{},"read":{read}}}"#, call.scope, call.expires_in))
}
