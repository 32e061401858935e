//! What stands in for Slack, inside this process: it knows everybody, is always well, and costs little.
//!
//! The playground's stand-in keeps messages and checks them; here that work would be taken from the cores that are
//! measured.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::deployment::{CHANNEL, TEAM};

/// A card that can be clicked.
#[derive(Debug, Clone)]
pub struct Card {
    /// What its buttons carry.
    pub value: String,
    /// Which message it is.
    pub ts: String,
}

/// The stand-in.
pub struct Slack {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    members: String,
    messages: AtomicU64,
    post_takes_millis: AtomicU64,
}

impl Slack {
    /// Starts it; these people are in the user group.
    pub async fn start(members: &[String]) -> anyhow::Result<Self> {
        let members = serde_json::json!({ "ok": true, "users": members }).to_string();
        let (messages, post_takes_millis) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { members, messages, post_takes_millis });
        let router = Router::new()
            .route("/api/chat.postMessage", post(post_message))
            .route("/api/chat.update", post(|| async { json(r#"{"ok":true}"#.to_owned()) }))
            .route("/api/users.info", get(user))
            .route("/api/usergroups.users.list", get(group))
            .fallback(|| async { json(r#"{"ok":true}"#.to_owned()) })
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, shared })
    }

    /// From now on every post takes so long, as on a bad day.
    pub fn post_takes(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.post_takes_millis.store(millis, Ordering::Relaxed);
    }
}

async fn post_message(State(shared): State<Arc<Shared>>) -> Response {
    let millis = shared.post_takes_millis.load(Ordering::Relaxed);
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    let ts = format!("1795460000.{:06}", shared.messages.fetch_add(1, Ordering::Relaxed));
    json(format!(r#"{{"ok":true,"channel":"{CHANNEL}","ts":"{ts}"}}"#))
}

async fn user(Query(asked): Query<HashMap<String, String>>) -> Response {
    let id = asked.get("user").map(String::as_str).unwrap_or_default();
    json(format!(
        r#"{{"ok":true,"user":{{"id":"{id}","team_id":"{TEAM}","is_bot":false,"is_restricted":false,"is_ultra_restricted":false,"profile":{{}}}}}}"#
    ))
}

async fn group(State(shared): State<Arc<Shared>>) -> Response {
    json(shared.members.clone())
}

fn json(body: String) -> Response {
    ([("content-type", "application/json")], body).into_response()
}
