//! How fast Slack lets an app be: about one message a second in each channel with short bursts, and a
//! tier for every method (docs.slack.dev, rate-limits). Off until somebody switches it on.
//!
//! Time is the stand-in's clock, so that a test advances it and never waits.

use std::collections::{HashMap, VecDeque};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Playground;
use crate::clock::Timestamp;

/// How many lanes are remembered; when there are more, those that are free again are forgotten.
const LANES_MAX: usize = 10_000;

/// What is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Messages a second into each channel. Absent: as many as one likes.
    #[serde(default)]
    pub per_second: Option<f64>,
    /// How many may come at once before that counts.
    #[serde(default = "one")]
    pub burst: u32,
    /// Whether the tiers of the methods count too.
    #[serde(default)]
    pub tiers: bool,
}

fn one() -> u32 {
    1
}

impl Default for Rules {
    fn default() -> Self {
        Self { per_second: None, burst: 1, tiers: false }
    }
}

/// What was called lately.
#[derive(Debug, Default)]
pub struct Pace {
    rules: Rules,
    /// By channel: how many messages still fit (at that time).
    lanes: HashMap<String, (f64, Timestamp)>,
    /// By method: when it was called within the last minute.
    minutes: HashMap<String, VecDeque<Timestamp>>,
}

impl Pace {
    /// Begins anew under these rules.
    pub fn enforce(&mut self, rules: Rules) {
        *self = Self { rules, ..Self::default() };
    }

    /// Counts a call. When it comes too soon: how many seconds are to be waited.
    pub fn call(&mut self, method: &str, channel: &str, now: Timestamp) -> Result<(), u64> {
        self.tier(method, now)?;
        match self.rules.per_second.filter(|_| method == "chat.postMessage" && !channel.is_empty()) {
            Some(rate) if rate > 0.0 => self.message(channel, rate, now),
            _ => Ok(()),
        }
    }

    fn message(&mut self, channel: &str, rate: f64, now: Timestamp) -> Result<(), u64> {
        let burst = f64::from(self.rules.burst.max(1));
        let room = |(left, at): (f64, Timestamp)| {
            let passed = now.signed_duration_since(at).num_milliseconds().max(0);
            (left + passed as f64 / 1000.0 * rate).min(burst)
        };
        if self.lanes.len() >= LANES_MAX {
            self.lanes.retain(|_, lane| room(*lane) < burst);
        }
        let lane = self.lanes.entry(channel.to_owned()).or_insert((burst, now));
        // A thousandth is forgiven: the sum of many fractions of a second is never exact.
        let left = room(*lane) + 0.001;
        if left < 1.0 {
            return Err((((1.0 - left) / rate).ceil() as u64).max(1));
        }
        *lane = (left - 1.001, now);
        Ok(())
    }

    fn tier(&mut self, method: &str, now: Timestamp) -> Result<(), u64> {
        let Some(most) = tier(method).filter(|_| self.rules.tiers) else { return Ok(()) };
        let minute = chrono::Duration::seconds(60);
        let calls = self.minutes.entry(method.to_owned()).or_default();
        while calls.front().is_some_and(|at| now.signed_duration_since(*at) >= minute) {
            calls.pop_front();
        }
        match calls.front().filter(|_| calls.len() >= most) {
            Some(first) => {
                let left = (minute - now.signed_duration_since(*first)).num_milliseconds().max(1);
                Err(u64::try_from(left).unwrap_or(1).div_ceil(1000))
            }
            None => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}

/// How often a method may be called in a minute.
fn tier(method: &str) -> Option<usize> {
    match method {
        // Documented as "1 or more": every connection of an app needs one, so a few come at once.
        "apps.connections.open" => Some(10),
        "usergroups.list" | "usergroups.users.list" | "users.list" | "conversations.list" => Some(20),
        "chat.update"
        | "chat.delete"
        | "conversations.open"
        | "conversations.info"
        | "conversations.history"
        | "conversations.replies"
        | "users.lookupByEmail"
        | "team.info"
        | "bots.info" => Some(50),
        "chat.postEphemeral"
        | "views.open"
        | "views.push"
        | "views.update"
        | "views.publish"
        | "users.info"
        | "conversations.members" => Some(100),
        _ => None,
    }
}

/// `POST /page/pace`: from now on these rules count, in every installation.
pub async fn set(State(playground): State<Playground>, Json(rules): Json<Rules>) -> StatusCode {
    playground.change(|state| state.installs.all_mut().for_each(|held| held.pace.enforce(rules)));
    StatusCode::NO_CONTENT
}
