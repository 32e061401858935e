//! Telling Slack: every committed delivery is performed, or given up visibly.
//!
//! Cards are drawn from the store at the moment they are sent, so a late or repeated delivery shows the truth.
//! Slack offers no idempotent post: an answer that never came may mean a second card, and both work.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::json;

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, Status};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::Grant;
use crate::domain::hashing::sha256_hex;
use crate::slack::{SlackError, cards};
use crate::store::{Claimed, Commit, Delivery};

/// How many deliveries are under way at the same time.
const AT_ONCE: u32 = 8;
/// How long a delivery is ours before another turn may take it, in seconds: longer than Slack's deadline.
const LEASE_SECONDS: i64 = 30;
/// After this many failed attempts a delivery is given up.
const ATTEMPTS_MAX: u32 = 20;
/// The longest pause between two attempts, in milliseconds.
const PAUSE_MAX_MILLIS: u64 = 60_000;

/// Lanes that wait: Slack's limits and its failures are per channel, so one that fails pauses all of it.
#[derive(Default)]
pub(super) struct Pauses(Mutex<HashMap<String, Timestamp>>);

impl Pauses {
    fn until(&self, lane: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().get(lane).copied().filter(|until| *until > now)
    }

    fn pause(&self, lane: &str, until: Timestamp, now: Timestamp) {
        let mut all = self.lock();
        all.retain(|_, until| *until > now);
        all.insert(lane.to_owned(), until);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a delivery went.
pub(super) enum Delivered {
    /// Slack has it, and this is to be written down with it.
    Done(Box<Commit>),
    /// There is nothing to tell any more.
    Unneeded,
    /// Slack did not take it.
    Failed(SlackError),
}

impl Service {
    /// Performs what is due, one delivery of each lane and access request. Answers with how many that were.
    ///
    /// # Errors
    /// When the store does not answer; leases run out and another turn tries again.
    pub async fn deliver(&self) -> Result<usize, Error> {
        let now = self.now();
        let claimed = self.0.store.claim(AT_ONCE, random_text(), LEASE_SECONDS, now).await?;
        let count = claimed.len();
        // Lanes go on side by side; within a lane one after the other, so that Slack's limit per channel holds.
        let mut lanes: Vec<(String, Vec<Claimed>)> = Vec::new();
        for row in claimed {
            match lanes.iter_mut().find(|(lane, _)| *lane == row.lane) {
                Some((_, rows)) => rows.push(row),
                None => lanes.push((row.lane.clone(), vec![row])),
            }
        }
        for outcome in join_all(lanes.into_iter().map(|(_, rows)| self.deliver_lane(rows))).await {
            outcome?;
        }
        Ok(count)
    }

    async fn deliver_lane(&self, rows: Vec<Claimed>) -> Result<(), Error> {
        for row in rows {
            let now = self.now();
            if let Some(until) = self.0.lanes.until(&row.lane, now) {
                // Slack asked this lane to wait: that is no failed attempt of the others in it.
                self.0.store.try_again(&row, false, "the lane waits".to_owned(), until).await?;
                continue;
            }
            match self.perform(&row, now).await? {
                Delivered::Done(commit) => self.finish(&row, *commit, now).await?,
                Delivered::Unneeded => self.finish(&row, Commit::default(), now).await?,
                Delivered::Failed(error) => self.failed(&row, &error, now).await?,
            }
        }
        Ok(())
    }

    async fn perform(&self, row: &Claimed, now: Timestamp) -> Result<Delivered, Error> {
        let Some(request) = self.0.store.request(&row.request_id).await? else { return Ok(Delivered::Unneeded) };
        let grant = self.0.store.grant_of(&request.id).await?;
        match &row.delivery {
            Delivery::PostCard { channel } => self.post_card(&request, grant.as_ref(), channel, now).await,
            Delivery::RefreshCards { channel } => self.refresh_cards(&request, grant.as_ref(), channel, now).await,
            Delivery::Remind { channel, number } => self.remind(&request, channel, *number, now).await,
            Delivery::TellRequester => self.tell_requester(&request, grant.as_ref()).await,
            Delivery::NoteInThread { channel, text } => self.note(&request, channel, text).await,
        }
    }

    async fn post_card(
        &self,
        request: &AccessRequest,
        grant: Option<&Grant>,
        channel: &str,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        match request.status(now) {
            // It ended before anybody saw it: a card that nobody can act on is not posted afresh.
            Status::Denied | Status::Expired | Status::Cancelled => return Ok(Delivered::Unneeded),
            Status::Pending | Status::Approved => {}
        }
        if !self.cards_in(request, channel).await?.is_empty() {
            // It was posted, the answer was lost, and a click on it has told us since.
            return Ok(Delivered::Unneeded);
        }
        let value = random_text();
        self.0.store.mint(&value, request, channel, None, now).await?;
        let card = self.with_facts(request, grant, &value, cards::card);
        Ok(match self.0.slack.post(channel, &card, None).await {
            Ok(message) => Delivered::Done(Box::new(Commit {
                bind: Some((sha256_hex(value.as_bytes()), message.clone())),
                card: Some((request.id.clone(), message)),
                ..Commit::default()
            })),
            Err(error) => Delivered::Failed(error),
        })
    }

    async fn refresh_cards(
        &self,
        request: &AccessRequest,
        grant: Option<&Grant>,
        channel: &str,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        for message in self.cards_in(request, channel).await? {
            let value = random_text();
            self.0.store.mint(&value, request, message.channel.as_str(), Some(&message.ts), now).await?;
            let card = self.with_facts(request, grant, &value, cards::card);
            match self.0.slack.update(&message, &card).await {
                Ok(()) => {}
                // Somebody deleted the message: there is nothing left to edit.
                Err(SlackError::Permanent(code)) if code == "message_not_found" => {}
                Err(error) => return Ok(Delivered::Failed(error)),
            }
        }
        Ok(Delivered::Unneeded)
    }

    async fn tell_requester(&self, request: &AccessRequest, grant: Option<&Grant>) -> Result<Delivered, Error> {
        let user = match self.requester(&request.asked) {
            Some(user) => Some(user),
            None => match self.requester_by_address(&request.asked).await {
                Ok(user) => user,
                Err(error) => return Ok(Delivered::Failed(error)),
            },
        };
        let Some(user) = user else { return Ok(Delivered::Unneeded) };
        let message = self.with_facts(request, grant, "", cards::requester_message);
        Ok(match self.0.slack.post(user.as_str(), &message, None).await {
            Ok(_) => Delivered::Unneeded,
            Err(error) => Delivered::Failed(error),
        })
    }

    async fn note(&self, request: &AccessRequest, channel: &str, text: &str) -> Result<Delivered, Error> {
        let note = cards::thread_note(text);
        for message in self.cards_in(request, channel).await? {
            if let Err(error) = self.0.slack.post(message.channel.as_str(), &note, Some(&message.ts)).await {
                return Ok(Delivered::Failed(error));
            }
        }
        Ok(Delivered::Unneeded)
    }

    /// The cards that are kept up to date with a channel: its own, and with the first channel also those that stand
    /// in none of the request's, because theirs did not take them.
    pub(super) async fn cards_in(&self, request: &AccessRequest, channel: &str) -> Result<Vec<MessageRef>, Error> {
        let own = self.channels(request);
        let is_first = own.first().is_some_and(|first| first == channel);
        let mut cards = self.0.store.cards(&request.id).await?;
        cards.retain(|card| {
            let astray = !own.iter().any(|own| own == card.channel.as_str());
            card.channel.as_str() == channel || (is_first && astray)
        });
        Ok(cards)
    }

    async fn finish(&self, row: &Claimed, mut commit: Commit, now: Timestamp) -> Result<(), Error> {
        self.0.slack_fails.store(false, Ordering::Relaxed);
        commit.finish = Some((row.id, row.lease.clone()));
        self.0.store.commit(commit, now).await?;
        metrics::counter!("countersign_deliveries_total", "outcome" => "done").increment(1);
        self.0.work.notify_one();
        Ok(())
    }

    /// Puts a failed delivery back with a pause for its whole lane, or gives it up.
    async fn failed(&self, row: &Claimed, error: &SlackError, now: Timestamp) -> Result<(), Error> {
        metrics::counter!("countersign_deliveries_total", "outcome" => "failed").increment(1);
        self.0.slack_fails.store(true, Ordering::Relaxed);
        let code = error.code().to_owned();
        let (counts, pause) = match error {
            SlackError::RateLimited { after } => (false, after.unwrap_or(Duration::from_secs(1))),
            SlackError::Temporary(_) | SlackError::OutcomeUnknown(_) => (true, backoff(row.attempts)),
            SlackError::Permanent(_) => return self.give_up(row, &code, now).await,
        };
        if row.attempts + 1 >= ATTEMPTS_MAX && counts {
            return self.give_up(row, &code, now).await;
        }
        tracing::warn!(error = code, lane = row.lane, attempts = row.attempts + 1, "a delivery waits for another try");
        let until = later(self.now(), pause);
        self.0.lanes.pause(&row.lane, until, now);
        self.0.store.try_again(row, counts, code, until).await?;
        Ok(())
    }

    /// A card that its channel does not take goes to the usual channel; anything else stays as a dead letter.
    async fn give_up(&self, row: &Claimed, code: &str, now: Timestamp) -> Result<(), Error> {
        tracing::error!(error = code, lane = row.lane, request.id = %row.request_id, "a delivery is given up");
        metrics::counter!("countersign_deliveries_total", "outcome" => "given_up").increment(1);
        let usual = self.0.settings.channel.to_string();
        let elsewhere = match &row.delivery {
            Delivery::PostCard { channel } if *channel != usual => Some(Delivery::PostCard { channel: usual }),
            Delivery::PostCard { .. }
            | Delivery::RefreshCards { .. }
            | Delivery::TellRequester
            | Delivery::Remind { .. }
            | Delivery::NoteInThread { .. } => None,
        };
        let audit = AuditEntry {
            at: now,
            kind: Kind::DeliveryFailed,
            actor: Actor::Service,
            request_id: Some(row.request_id.clone()),
            grant_id: None,
            summary: format!("Slack does not take a message for {}: {code}", row.lane),
            detail: json!({ "lane": row.lane, "error": code, "attempts": row.attempts + 1, "goes_to": elsewhere }),
        };
        let commit = Commit {
            audit: vec![audit],
            deliveries: elsewhere.map(|delivery| (row.request_id.clone(), delivery)).into_iter().collect(),
            give_up: Some((row.id, row.lease.clone(), code.to_owned())),
            ..Commit::default()
        };
        self.0.store.commit(commit, now).await?;
        self.0.work.notify_one();
        Ok(())
    }
}

/// Full jitter between half a second and a minute.
fn backoff(attempts: u32) -> Duration {
    let ceiling = 500u64.saturating_mul(1 << attempts.min(10)).min(PAUSE_MAX_MILLIS);
    let mut random = [0u8; 2];
    let jitter = match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u64::from(u16::from_le_bytes(random)),
        Err(_) => 0,
    };
    Duration::from_millis(ceiling / 2 + (ceiling / 2) * jitter / u64::from(u16::MAX))
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now + chrono::Duration::milliseconds(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2))
}

/// 256 random bits as text: a button's value, or a lease.
fn random_text() -> String {
    let mut bytes = [0u8; 32];
    // The operating system's generator does not fail once the machine is up; a panic here would be a lie about that.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}
