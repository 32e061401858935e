//! Telling Slack: every committed delivery is performed, or given up visibly. What each of them does is in
//! [`super::perform`]; here is when it is done, and what follows where Slack does not take it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::perform::Delivered;
use super::workspaces::Place;
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::slack::{Fault, SlackError};
use crate::store::{About, Attempt, Claimed, Class, Commit, Delivery};

/// How many deliveries one step takes at most.
const AT_ONCE: usize = 16;
/// How long a delivery is ours before another turn may take it, in seconds: longer than Slack's deadline.
const LEASE_SECONDS: i64 = 30;
/// After this many failed attempts a delivery is given up.
const ATTEMPTS_MAX: u32 = 20;
/// The longest pause between two attempts, in milliseconds.
const PAUSE_MAX_MILLIS: u64 = 60_000;
/// So long a workspace is left alone whose token does not work, before it is tried again.
const TOKEN_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// A delivery that is due and is ours to perform.
pub struct Due(Claimed);

impl Service {
    /// Performs what is due, one delivery of each lane. Answers with how many that were.
    ///
    /// # Errors
    /// When the store does not answer; leases run out and another turn tries again.
    pub async fn deliver(&self) -> Result<usize, Error> {
        let due = self.due(AT_ONCE).await?;
        let count = due.len();
        for outcome in join_all(due.into_iter().map(|one| self.deliver_one(one))).await {
            outcome?;
        }
        Ok(count)
    }

    /// Takes what is due, one delivery of each lane, the most urgent first, at most `most`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn due(&self, most: usize) -> Result<Vec<Due>, Error> {
        let now = self.now();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let claimed = self.0.store.claim(most, random_text(), LEASE_SECONDS, &self.closed(now), now).await?;
        Ok(claimed.into_iter().map(Due).collect())
    }

    /// What has to wait for its turn.
    pub(super) fn closed(&self, now: Timestamp) -> Vec<String> {
        let of = |place: &Arc<Place>| {
            let team = place.team().clone();
            place.pace.closed(now).into_iter().map(move |closed| format!("{team}/{closed}"))
        };
        self.places().flat_map(of).collect()
    }

    /// Performs one delivery.
    ///
    /// # Errors
    /// When the store does not answer; the lease runs out and another turn tries again.
    pub async fn deliver_one(&self, due: Due) -> Result<(), Error> {
        let (Due(row), now) = (due, self.now());
        match row.delivery.about() {
            About::Request => {}
            About::Review => return self.deliver_review(&row, now).await,
            About::Digest => return self.deliver_digest(&row, now).await,
        }
        let Some(request) = self.0.store.request(&row.request_id).await? else {
            // Homes are drawn for either, and nothing else is written for what is no access request.
            return self.deliver_review(&row, now).await;
        };
        let Some(place) = self.home(&request) else { return self.nowhere(&row, now).await };
        if let Some(until) = place.paused_until(now) {
            let why = "the workspace's token does not work".to_owned();
            return Ok(self.0.store.try_again(&row, Attempt::NotMade, why, until).await?);
        }
        let delivered = self.perform(&row, &request, place, now).await?;
        self.went(&row, Some(&request), place, delivered, now).await
    }

    /// The same about the review of a broken glass, which is no access request.
    async fn deliver_review(&self, row: &Claimed, now: Timestamp) -> Result<(), Error> {
        let Some(review) = self.0.store.review(&row.request_id).await? else {
            return self.finish(row, Commit::default(), now).await;
        };
        let Some(place) = self.home_of_review(&review) else { return self.nowhere(row, now).await };
        if let Some(until) = place.paused_until(now) {
            let why = "the workspace's token does not work".to_owned();
            return Ok(self.0.store.try_again(row, Attempt::NotMade, why, until).await?);
        }
        let delivered = self.perform_review(row, &review, place, now).await?;
        self.went(row, None, place, delivered, now).await
    }

    /// The same about a digest.
    async fn deliver_digest(&self, row: &Claimed, now: Timestamp) -> Result<(), Error> {
        let Some(digest) = self.0.store.digest(&row.request_id).await? else {
            return self.finish(row, Commit::default(), now).await;
        };
        let mut requests = Vec::with_capacity(digest.requests.len());
        for id in &digest.requests {
            requests.extend(self.0.store.request(id).await?);
        }
        let Some(first) = requests.first() else { return self.finish(row, Commit::default(), now).await };
        let Some(place) = self.home(first) else { return self.nowhere(row, now).await };
        if let Some(until) = place.paused_until(now) {
            let why = "the workspace's token does not work".to_owned();
            return Ok(self.0.store.try_again(row, Attempt::NotMade, why, until).await?);
        }
        let delivered = self.perform_digest(row, &digest, &requests, place, now).await?;
        self.went(row, None, place, delivered, now).await
    }

    /// What follows from how it went.
    async fn went(
        &self,
        row: &Claimed,
        request: Option<&AccessRequest>,
        place: &Place,
        delivered: Delivered,
        now: Timestamp,
    ) -> Result<(), Error> {
        match delivered {
            Delivered::Done(commit) => {
                place.works();
                self.finish(row, *commit, now).await
            }
            Delivered::Unneeded => self.finish(row, Commit::default(), now).await,
            Delivered::Later(until) => {
                Ok(self.0.store.try_again(row, Attempt::NotMade, "it waits for its turn".to_owned(), until).await?)
            }
            Delivered::Failed(error) => self.failed(row, request, place, &error, now).await,
        }
    }

    /// Its workspace is not configured any more: it stays as a dead letter, and nobody of another one is told.
    async fn nowhere(&self, row: &Claimed, now: Timestamp) -> Result<(), Error> {
        const CODE: &str = "workspace_not_configured";
        tracing::error!(error = CODE, lane = row.lane, request.id = %row.request_id, "a delivery is given up");
        metrics::counter!("countersign_deliveries_total", "outcome" => "given_up").increment(1);
        metrics::counter!("countersign_alarms_total", "what" => "delivery_given_up").increment(1);
        let audit = AuditEntry {
            at: now,
            kind: Kind::DeliveryFailed,
            actor: Actor::Service,
            request_id: Some(row.request_id.clone()),
            grant_id: None,
            summary: "a message could not be sent: its workspace is not configured any more".to_owned(),
            detail: json!({ "lane": row.lane, "error": CODE }),
        };
        let give_up = Some((row.id, row.lease.clone(), CODE.to_owned()));
        self.0.store.commit(Commit { audit: vec![audit], give_up, ..Commit::default() }, now).await?;
        Ok(())
    }

    async fn finish(&self, row: &Claimed, mut commit: Commit, now: Timestamp) -> Result<(), Error> {
        self.0.slack_fails.store(false, Ordering::Relaxed);
        commit.finish = Some((row.id, row.lease.clone()));
        self.0.store.commit(commit, now).await?;
        metrics::counter!("countersign_deliveries_total", "outcome" => "done").increment(1);
        self.0.work.notify_one();
        Ok(())
    }

    /// Puts a failed delivery back with a pause for what it shares a limit with, or gives it up.
    async fn failed(
        &self,
        row: &Claimed,
        request: Option<&AccessRequest>,
        place: &Place,
        error: &SlackError,
        now: Timestamp,
    ) -> Result<(), Error> {
        metrics::counter!("countersign_deliveries_total", "outcome" => "failed").increment(1);
        self.0.slack_fails.store(true, Ordering::Relaxed);
        let (attempt, pause) = match (error, error.fault()) {
            (_, Some(Fault::Token)) => return self.pause(row, place, error.code(), now).await,
            (_, Some(Fault::Place | Fault::Message | Fault::Content | Fault::Other)) => {
                return self.give_up(row, request, place, error, now).await;
            }
            (SlackError::RateLimited { after }, _) => (Attempt::NotMade, after.unwrap_or(Duration::from_secs(1))),
            (SlackError::OutcomeUnknown(_), _) => (Attempt::Unknown, backoff(row.attempts)),
            (_, None) => (Attempt::Failed, backoff(row.attempts)),
        };
        if row.attempts + 1 >= ATTEMPTS_MAX && attempt != Attempt::NotMade {
            return self.give_up(row, request, place, error, now).await;
        }
        let (lane, error) = (&row.lane, error.code().to_owned());
        tracing::warn!(error, lane, attempts = row.attempts + 1, "a delivery waits for another try");
        let until = later(self.now(), pause);
        place.pace.wait(lane, row.delivery.class(), until, now);
        Ok(self.0.store.try_again(row, attempt, error, until).await?)
    }

    /// The workspace does not take anything at all: nothing is lost, everything waits, and somebody is told once.
    async fn pause(&self, row: &Claimed, place: &Place, code: &str, now: Timestamp) -> Result<(), Error> {
        let until = self.now() + TOKEN_PAUSE;
        self.0.store.try_again(row, Attempt::NotMade, code.to_owned(), until).await?;
        self.token_fails(place, code, until, now).await
    }

    /// Nothing can be sent to a workspace until somebody mends its app: alarm, and wait.
    pub(super) async fn token_fails(
        &self,
        place: &Place,
        code: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !place.pause(until, code) {
            return Ok(());
        }
        let team = &place.workspace.team_id;
        tracing::error!(error = code, %team, "Slack does not accept the app or its token; everything waits");
        metrics::counter!("countersign_alarms_total", "what" => "slack_token").increment(1);
        let audit = AuditEntry {
            at: now,
            kind: Kind::DeliveryFailed,
            actor: Actor::Service,
            request_id: None,
            grant_id: None,
            summary: format!("Slack does not accept the app or its token in {team}: {code}; everything waits"),
            detail: json!({ "team": team, "error": code }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }

    /// A card that its channel does not take goes to the fallback channel, also one that stands where nobody can
    /// reach it any more; anything else stays as a dead letter.
    async fn give_up(
        &self,
        row: &Claimed,
        request: Option<&AccessRequest>,
        place: &Place,
        error: &SlackError,
        now: Timestamp,
    ) -> Result<(), Error> {
        let code = error.code();
        tracing::error!(error = code, lane = row.lane, request.id = %row.request_id, "a delivery is given up");
        metrics::counter!("countersign_deliveries_total", "outcome" => "given_up").increment(1);
        metrics::counter!("countersign_alarms_total", "what" => "delivery_given_up").increment(1);
        let nobody_sees_it = match row.delivery.class() {
            Class::Post => true,
            Class::Edit => {
                let waits = request.is_some_and(|request| request.status(now) == Status::Pending);
                error.fault() == Some(Fault::Place) && waits
            }
            Class::Note | Class::Direct => false,
        };
        let elsewhere = place.elsewhere(&row.lane).filter(|_| nobody_sees_it);
        let elsewhere = elsewhere.and_then(|channel| match row.delivery.about() {
            About::Request => Some(Delivery::PostCard { channel }),
            About::Review => Some(Delivery::ReviewCard { channel }),
            // What waits on it has got another card already.
            About::Digest => None,
        });
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

impl Place {
    /// The channel for what `channel` does not take, if there is another.
    pub(super) fn elsewhere(&self, channel: &str) -> Option<String> {
        let Self { workspace, .. } = self;
        let candidates = [&workspace.fallback_channel, &workspace.channel];
        // The usual channel's own failures go to the fallback, those of the fallback nowhere.
        if channel == workspace.fallback_channel.as_str() {
            return None;
        }
        candidates.into_iter().find(|other| other.as_str() != channel).map(ToString::to_string)
    }
}

/// Full jitter between half a second and a minute.
pub(super) fn backoff(attempts: u32) -> Duration {
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
pub(super) fn random_text() -> String {
    let mut bytes = [0u8; 32];
    // The operating system's generator does not fail once the machine is up; a panic here would be a lie about that.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}
