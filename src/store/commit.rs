//! The one write path of decisions.

use super::cooldowns::{self, CooldownKey};
use super::digests::{self, Joined};
use super::interactions::Once;
use super::outbox::{self, Delivery};
use super::script::Script;
use super::states::{insert_grant, insert_request, insert_vote, replace_grant, replace_request};
use super::{HookCall, Store, StoreError, audit, reviews};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Cooldown, MessageRef, Vote};
use crate::domain::audit::AuditEntry;
use crate::domain::grant::Grant;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::RequestId;
use crate::domain::review::Review;

/// A value and how it comes into the store.
#[derive(Debug, Clone)]
pub enum Change<T> {
    /// It is new.
    New(T),
    /// It replaces the row of the same identifier, if that still has this value's version.
    Replace(T),
}

/// What is written together, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The access request.
    pub request: Option<Change<AccessRequest>>,
    /// The vote that was added to it.
    pub vote: Option<Vote>,
    /// The place of a vote of it that was taken back.
    pub taken_back: Option<u32>,
    /// The grant.
    pub grant: Option<Change<Grant>>,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: Vec<AuditEntry>,
    /// What is to be told outside, about which access request.
    pub deliveries: Vec<(RequestId, Delivery)>,
    /// The hook call that caused it, where the server names it.
    pub call: Option<HookCall>,
    /// The clicked button, and the one message that it counts on from now on.
    pub bind: Option<(String, MessageRef)>,
    /// The click or form that caused it, which must not have counted before.
    pub once: Option<Once>,
    /// The outbox row that this finishes, by number and lease.
    pub finish: Option<(i64, String)>,
    /// The outbox row that is given up: number, lease, error.
    pub give_up: Option<(i64, String, String)>,
    /// A card that Slack has: about which access request, and where.
    pub card: Option<(RequestId, MessageRef)>,
    /// Cards that Slack has no more.
    pub gone: Vec<MessageRef>,
    /// An access request that stands on a digest from now on.
    pub joined: Option<Joined>,
    /// A button of a digest, and the one message that it counts on from now on.
    pub bind_digest: Option<(String, MessageRef)>,
    /// A digest's card that Slack has: of which digest, and where.
    pub digest_card: Option<(RequestId, MessageRef)>,
    /// The review of a broken glass.
    pub review: Option<Change<Review>>,
    /// The button of a review card, and the one message that it counts on from now on.
    pub bind_review: Option<(String, MessageRef)>,
    /// A review card that Slack has: of which review, and where.
    pub review_card: Option<(RequestId, MessageRef)>,
    /// Cool-downs that an operator lifts.
    pub lifted: Vec<CooldownKey>,
}

/// How a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Somebody else was first: look again.
    Conflict,
}

impl Store {
    /// Writes all of it or nothing, and answers after it is durable.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] when the call identifier came with another body before; otherwise what
    /// kept the database from writing.
    pub async fn commit(&self, commit: Commit, now: Timestamp) -> Result<Outcome, StoreError> {
        // Put into words here, not in the one task that everybody waits for.
        let written = Written::new(commit, now)?;
        match self.commit_written(written).await {
            Ok(()) => Ok(Outcome::Done),
            Err(StoreError::Inconsistent { table: CONFLICT, .. }) => Ok(Outcome::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Keeps the hash of a button's value before it is sent, with what it is made for.
    ///
    /// # Errors
    /// When the database does not answer: then the button must not be sent.
    pub async fn mint(
        &self,
        value: &str,
        request: &AccessRequest,
        channel: &str,
        ts: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (hash, id, shown) =
            (sha256_hex(value.as_bytes()), request.id.to_string(), i64::from(request.shown_version));
        let (channel, ts, at) = (channel.to_owned(), ts.map(str::to_owned), now.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO buttons (value_hash, request_id, shown_version, channel, ts, minted_at) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(hash)
                .bind(id)
                .bind(shown)
                .bind(channel)
                .bind(ts)
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// The same for a button that decides about no access request: `insert` takes its hash, what it was made for, the
    /// channel, the message and the time.
    pub(super) async fn mint_beside(
        &self,
        insert: &'static str,
        value: &str,
        made_for: &RequestId,
        (channel, ts): (&str, Option<&str>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (hash, made_for) = (sha256_hex(value.as_bytes()), made_for.to_string());
        let (channel, ts, at) = (channel.to_owned(), ts.map(str::to_owned), now.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                let query = sqlx::query(insert).bind(hash).bind(made_for).bind(channel).bind(ts).bind(at);
                query.execute(&mut w.conn).await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets identifiers of calls, clicks and forms that are older than `before`: nobody repeats one for that long.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_calls(&self, before: Timestamp) -> Result<(), StoreError> {
        let at = before.timestamp_millis();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("DELETE FROM hook_calls WHERE at < $1").bind(at).execute(&mut w.conn).await?;
                sqlx::query("DELETE FROM interactions WHERE at < $1").bind(at).execute(&mut w.conn).await?;
                Ok(())
            })
        })
        .await
    }
}

/// A commit as statements. Only the audit entries still lack their place in the chain, which the writer gives them.
pub(super) struct Written {
    script: Script,
    audit: Vec<audit::Entry>,
}

impl Written {
    fn new(commit: Commit, now: Timestamp) -> Result<Self, StoreError> {
        let mut script = Script::default();
        write_states(&mut script, &commit, now)?;
        write_marks(&mut script, &commit, now);
        for (request, delivery) in &commit.deliveries {
            outbox::insert(&mut script, request, delivery, now)?;
        }
        Ok(Self { script, audit: commit.audit.into_iter().map(audit::Entry::new).collect() })
    }

    /// All of it, with the audit entries in their places from `head` on.
    pub(super) fn chained(mut self, head: &mut audit::Head) -> Script {
        for entry in self.audit {
            audit::append(&mut self.script, head, entry);
        }
        self.script
    }
}

/// The table name under which a lost compare-and-swap travels through the writer's rollback.
const CONFLICT: &str = "conflict";

pub(super) fn conflict() -> StoreError {
    StoreError::inconsistent(CONFLICT, "", &"somebody else was first")
}

fn write_states(script: &mut Script, commit: &Commit, now: Timestamp) -> Result<(), StoreError> {
    if let Some(call) = &commit.call {
        write_call(script, call, now);
    }
    match &commit.request {
        None => {}
        Some(Change::New(request)) => insert_request(script, request)?,
        Some(Change::Replace(request)) => replace_request(script, request)?,
    }
    if let (Some(vote), Some(Change::New(request) | Change::Replace(request))) = (&commit.vote, &commit.request) {
        insert_vote(script, &request.id, vote)?;
    }
    if let (Some(place), Some(Change::New(request) | Change::Replace(request))) = (commit.taken_back, &commit.request) {
        script
            .run("INSERT INTO votes_taken_back (request_id, place, at) VALUES (?, ?, ?)")
            .bind(request.id.as_str())
            .bind(i64::from(place))
            .bind(now.timestamp_millis())
            .is_first_or(conflict());
    }
    match &commit.grant {
        None => {}
        Some(Change::New(grant)) => insert_grant(script, grant)?,
        Some(Change::Replace(grant)) => replace_grant(script, grant)?,
    }
    if let Some(review) = &commit.review {
        reviews::write(script, review)?;
    }
    for cooldown in &commit.cooldowns {
        cooldowns::write(script, cooldown);
    }
    for key in &commit.lifted {
        cooldowns::lift(script, key);
    }
    Ok(())
}

fn write_marks(script: &mut Script, commit: &Commit, now: Timestamp) {
    if let Some(once) = &commit.once {
        once.write(script, now);
    }
    if let Some((hash, message)) = &commit.bind {
        bind_button(script, OF_CARDS, hash, message);
    }
    if let Some((hash, message)) = &commit.bind_review {
        bind_button(script, OF_REVIEWS, hash, message);
    }
    if let Some((review, message)) = &commit.review_card {
        reviews::card(script, review, message, now);
    }
    digests::write(script, commit, now);
    for message in &commit.gone {
        for sql in
            ["DELETE FROM cards WHERE channel = ? AND ts = ?", "DELETE FROM digest_cards WHERE channel = ? AND ts = ?"]
        {
            script.run(sql).bind(message.channel.as_str()).bind(message.ts.as_str());
        }
    }
    if let Some((request, message)) = &commit.card {
        script
            .run("INSERT INTO cards (channel, ts, request_id, posted_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(message.channel.as_str())
            .bind(message.ts.as_str())
            .bind(request.as_str())
            .bind(now.timestamp_millis());
    }
    if let Some((id, lease)) = &commit.finish {
        script.run("DELETE FROM outbox WHERE id = ? AND lease = ?").bind(*id).bind(lease.as_str());
    }
    if let Some((id, lease, error)) = &commit.give_up {
        script
            .run("UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = ? WHERE id = ? AND lease = ?")
            .bind(error.as_str())
            .bind(*id)
            .bind(lease.as_str());
    }
}

fn write_call(script: &mut Script, call: &HookCall, now: Timestamp) {
    script
        .run(
            "INSERT INTO hook_calls (hook, call_id, body_hash, at) VALUES (?, ?, ?, ?)
             ON CONFLICT (hook, call_id) DO UPDATE SET at = at WHERE body_hash = excluded.body_hash",
        )
        .bind(call.hook.as_str())
        .bind(call.id.as_str())
        .bind(call.body_hash.as_str())
        .bind(now.timestamp_millis())
        .changes_one_or(StoreError::OtherBody);
}

/// The two statements that bind a button of these: the message where there is none yet, and whether it is this one.
macro_rules! binding_of {
    ($buttons:literal) => {
        (
            concat!("UPDATE ", $buttons, " SET ts = ? WHERE value_hash = ? AND channel = ? AND ts IS NULL"),
            concat!("SELECT 1 FROM ", $buttons, " WHERE value_hash = ? AND channel = ? AND ts = ?"),
        )
    };
}

/// The buttons of cards.
const OF_CARDS: (&str, &str) = binding_of!("buttons");
/// The buttons of review cards.
const OF_REVIEWS: (&str, &str) = binding_of!("review_buttons");

/// Slack's answer, or the first click where no answer came, binds a button to one message; then nothing moves it.
fn bind_button(script: &mut Script, (bind, is_bound): (&'static str, &'static str), hash: &str, message: &MessageRef) {
    script.run(bind).bind(message.ts.as_str()).bind(hash).bind(message.channel.as_str());
    script.run(is_bound).bind(hash).bind(message.channel.as_str()).bind(message.ts.as_str()).finds_or(conflict());
}
