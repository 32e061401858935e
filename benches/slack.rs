//! What stands in for Slack, inside this process: it knows everybody, is always well, and costs little.
//!
//! The playground's stand-in keeps messages and checks them; here that work would be taken from the cores that are
//! measured.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::deployment::{CHANNEL, TEAM};

/// So many seconds a message may come early: networks are not even.
const EARLY: f64 = 0.05;

/// A card that can be clicked.
#[derive(Debug, Clone)]
pub struct Card {
    /// The access request that it is about.
    pub request: String,
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
    /// When each channel took its messages, where one a second and channel is enforced.
    paced: Mutex<Option<HashMap<String, Vec<Instant>>>>,
}

impl Slack {
    /// Starts it; these people are in the user group.
    pub async fn start(members: &[String]) -> anyhow::Result<Self> {
        let members = serde_json::json!({ "ok": true, "users": members }).to_string();
        let (messages, post_takes_millis) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { members, messages, post_takes_millis, paced: Mutex::default() });
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

    /// From now on what comes faster than one message a second and channel is refused.
    pub fn one_a_second(&self) {
        *lock(&self.shared.paced) = Some(HashMap::new());
    }

    /// How many messages each channel has taken.
    pub fn posted_per_channel(&self) -> Vec<usize> {
        lock(&self.shared.paced).iter().flat_map(HashMap::values).map(Vec::len).collect()
    }

    /// How fast the channels filled: the mean of their messages per second after the first.
    pub fn pace(&self) -> f64 {
        let all = lock(&self.shared.paced);
        let rates: Vec<f64> = all
            .iter()
            .flat_map(HashMap::values)
            .filter_map(|times| Some((times.len(), times.last()?.duration_since(*times.first()?).as_secs_f64())))
            .filter(|(count, seconds)| *count > 1 && *seconds > 0.0)
            .map(|(count, seconds)| (count - 1) as f64 / seconds)
            .collect();
        rates.iter().sum::<f64>() / rates.len().max(1) as f64
    }
}

async fn post_message(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let millis = shared.post_takes_millis.load(Ordering::Relaxed);
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    let ts = format!("1795460000.{:06}", shared.messages.fetch_add(1, Ordering::Relaxed));
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let channel = message["channel"].as_str().unwrap_or(CHANNEL).to_owned();
    if let Some(channels) = lock(&shared.paced).as_mut()
        && channel.starts_with("C0DRAIN")
    {
        let (times, now) = (channels.entry(channel.clone()).or_default(), Instant::now());
        // What came a little late may be followed a little early: so many since the first, and no more.
        let first = times.first().copied().unwrap_or(now);
        if times.len() as f64 > now.duration_since(first).as_secs_f64() + EARLY {
            return too_fast();
        }
        times.push(now);
    }
    json(format!(r#"{{"ok":true,"channel":"{channel}","ts":"{ts}"}}"#))
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

fn too_fast() -> Response {
    (axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "").into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json(body: String) -> Response {
    ([("content-type", "application/json")], body).into_response()
}
