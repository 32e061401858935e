//! Events: what Slack tells the app unasked. In Slack's envelope, only those that the app subscribed
//! to, and again when they were not answered with 200 (docs.slack.dev, events-api).
//!
//! The first retry follows at once, the second a minute later, the third after five minutes, all by the
//! stand-in's clock. Whoever moves that clock by hand asks for what is due with `POST /page/retries`.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Playground;
use super::delivery::{Content, HELD_BACK, Parcel, Taken};
use super::installs::{Installation, Seat};
use super::interactions::LEGACY_TOKEN;
use crate::clock::Timestamp;

/// Every event that the stand-in can send.
pub const ALL: [&str; 13] = [
    "app_home_opened",
    "app_uninstalled",
    "channel_archive",
    "channel_id_changed",
    "channel_left",
    "channel_shared",
    "channel_unshared",
    "member_joined_channel",
    "member_left_channel",
    "subteam_members_changed",
    "subteam_updated",
    "tokens_revoked",
    "user_change",
];

/// When an event is sent again, counted from when it first was.
const RETRIES_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(5 * 60)];

/// How many events wait for a retry; the oldest are given up first.
const WAITING_MAX: usize = 200;

/// An event that was not taken yet.
#[derive(Debug, Clone)]
pub struct Waiting {
    seat: Seat,
    kind: String,
    body: Value,
    first: Timestamp,
    /// How many retries there were.
    tried: usize,
    reason: &'static str,
}

/// All that wait, oldest first.
pub type Queue = VecDeque<Waiting>;

/// An event in Slack's envelope, with an id of its own.
pub fn envelope(install: &Installation, event: &Value, now: Timestamp) -> Value {
    let workspace = &install.workspace;
    let wide = workspace.is_organization_wide();
    let enterprise = workspace.organization.as_ref().map(|organization| &organization.id);
    let team = if wide { None } else { Some(&workspace.team.id) };
    let mut envelope = json!({
        "type": "event_callback", "token": LEGACY_TOKEN, "event": event, "team_id": workspace.team.id,
        "api_app_id": workspace.app_id, "event_time": now.timestamp(),
        "event_id": format!("Ev{}", super::random_hex().to_uppercase()),
        "authorizations": [{
            "enterprise_id": enterprise, "team_id": team, "user_id": workspace.bot_user, "is_bot": true,
            "is_enterprise_install": wide,
        }],
        "is_ext_shared_channel": false,
    });
    if let Some(enterprise) = enterprise {
        envelope["enterprise_id"] = json!(enterprise);
    }
    envelope
}

/// A moment as events write it.
pub fn event_ts(now: Timestamp) -> String {
    let micros = now.timestamp_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Playground {
    /// Sends an event if the app subscribed to it, and retries at once if it was not taken. Answers
    /// what became of it; `None` when the app is not told of such events.
    pub(super) async fn tell(&self, seat: Seat, event: Value) -> Option<Result<Taken, String>> {
        let now = self.now();
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let body = self.read(|state| {
            let install = state.installs.at(seat);
            install.events.contains(&kind).then(|| envelope(install, &event, now))
        })?;
        let sent = self.send_event(seat, &kind, &body, None).await;
        if let Some(reason) = not_taken(&sent) {
            let waiting = Waiting { seat, kind, body, first: now, tried: 0, reason };
            self.change(|state| {
                if state.retries.len() >= WAITING_MAX {
                    state.retries.pop_front();
                }
                state.retries.push_back(waiting);
            });
            self.retry_due().await;
            self.retry_later();
        }
        Some(sent)
    }

    /// The later retries, where the stand-in's clock is the machine's. Where a test holds it still, this
    /// finds nothing due.
    fn retry_later(&self) {
        let playground = self.clone();
        tokio::spawn(async move {
            let mut passed = Duration::ZERO;
            for after in RETRIES_AFTER {
                tokio::time::sleep(after.saturating_sub(passed)).await;
                passed = after;
                Box::pin(playground.retry_due()).await;
            }
        });
    }

    async fn send_event(
        &self,
        seat: Seat,
        kind: &str,
        body: &Value,
        retry: Option<(usize, &'static str)>,
    ) -> Result<Taken, String> {
        let content = Content::Event(body.clone());
        self.deliver(Parcel { seat, kind: kind.to_owned(), content, retry }).await
    }

    /// Sends again what is due; answers how many went out.
    pub async fn retry_due(&self) -> usize {
        let mut sent = 0;
        loop {
            let now = self.now();
            let due = self.change(|state| {
                let at = state.retries.iter().position(|waiting| waiting.is_due(now))?;
                state.retries.remove(at)
            });
            let Some(mut waiting) = due else { return sent };
            waiting.tried += 1;
            let again = Some((waiting.tried, waiting.reason));
            let outcome = self.send_event(waiting.seat, &waiting.kind, &waiting.body, again).await;
            sent += 1;
            if let Some(reason) = not_taken(&outcome).filter(|_| waiting.tried < RETRIES_AFTER.len()) {
                waiting.reason = reason;
                self.change(|state| state.retries.push_back(waiting));
            }
        }
    }
}

impl Waiting {
    fn is_due(&self, now: Timestamp) -> bool {
        let passed = now.signed_duration_since(self.first).to_std().unwrap_or(Duration::ZERO);
        RETRIES_AFTER.get(self.tried).is_some_and(|after| passed >= *after)
    }
}

/// Why an event counts as not taken, in the words of `x-slack-retry-reason`. `None`: it was taken, or
/// the app said that it wants no retries.
fn not_taken(sent: &Result<Taken, String>) -> Option<&'static str> {
    match sent {
        Ok(taken) if taken.status == 200 || taken.no_retry => None,
        Err(why) if why == HELD_BACK => None,
        Ok(_) => Some("http_error"),
        Err(why) if why.contains("operation_timeout") => Some("http_timeout"),
        Err(_) => Some("connection_failed"),
    }
}

/// `POST /page/retries`: sends the events again whose time has come.
pub async fn retries(State(playground): State<Playground>) -> Json<Value> {
    let sent = playground.retry_due().await;
    let waiting = playground.read(|state| state.retries.len());
    Json(json!({ "sent": sent, "waiting": waiting }))
}
