//! Digests: how many cards asked each approver within an hour, which access requests share one card instead, where
//! those cards stand, and what their buttons were made for.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::commit::{Commit, conflict};
use super::read::{Button, message};
use super::script::Script;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef};
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{RequestId, SlackChannelId, SlackTeamId, SlackUserId};

/// So long a card counts for whom it asked, and so long further access requests join a digest, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Whether an access request gets a card of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Everybody whom it asks has had fewer cards than the limit; it counts for them now.
    OwnCard,
    /// Somebody has had as many as the limit.
    None,
}

/// Access requests that share one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Its identifier.
    pub id: RequestId,
    /// Where it stands.
    pub channel: SlackChannelId,
    /// The access requests, in the order in which they joined.
    pub requests: Vec<RequestId>,
}

/// An access request joins a digest, which may be new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The digest.
    pub digest: RequestId,
    /// Where it stands.
    pub channel: SlackChannelId,
    /// The access request.
    pub request: RequestId,
}

impl Store {
    /// Counts a card for everybody whom it asks, unless that would be more than `most` of them within an hour for
    /// anybody. An access request counts once for a person, however often its card is posted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn room_for_card(
        &self,
        request: &RequestId,
        workspace: &SlackTeamId,
        people: &BTreeSet<SlackUserId>,
        most: u32,
        now: Timestamp,
    ) -> Result<Room, StoreError> {
        // The same id in two workspaces is two people.
        let people: Vec<String> = people.iter().map(|user| format!("{workspace}/{user}")).collect();
        let (people, request, at) = (rows::json(&people)?, request.to_string(), now.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                let full = sqlx::query(
                    "SELECT 1 FROM json_each($1) AS who CROSS JOIN cards_of_people AS c ON c.slack_user = who.value
                     WHERE c.at > $2 AND c.request_id <> $3 GROUP BY c.slack_user HAVING count(*) >= $4 LIMIT 1",
                )
                .bind(&people)
                .bind(at - HOUR)
                .bind(&request)
                .bind(i64::from(most))
                .fetch_optional(&mut w.conn)
                .await?;
                if full.is_some() {
                    return Ok(Room::None);
                }
                sqlx::query(
                    "INSERT INTO cards_of_people (slack_user, request_id, at) SELECT value, $2, $3 FROM json_each($1) WHERE true
                     ON CONFLICT (slack_user, request_id) DO UPDATE SET at = excluded.at",
                )
                .bind(&people)
                .bind(&request)
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(Room::OwnCard)
            })
        })
        .await
    }

    /// The digest of a channel that further access requests join: opened within the last hour, with fewer than `most`.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn digest_to_join(
        &self,
        channel: &SlackChannelId,
        most: u32,
        now: Timestamp,
    ) -> Result<Option<RequestId>, StoreError> {
        let found = sqlx::query(
            "SELECT d.id FROM digests AS d WHERE d.channel = $1 AND d.opened_at > $2
               AND (SELECT count(*) FROM digest_requests AS r WHERE r.digest_id = d.id) < $3
             ORDER BY d.opened_at DESC, d.id DESC LIMIT 1",
        )
        .bind(channel.as_str())
        .bind(now.timestamp_millis() - HOUR)
        .bind(i64::from(most))
        .fetch_optional(self.readers())
        .await?;
        found.as_ref().map(|row| id("digests", row)).transpose()
    }

    /// A digest.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn digest(&self, digest: &RequestId) -> Result<Option<Digest>, StoreError> {
        let found = sqlx::query("SELECT channel FROM digests WHERE id = $1")
            .bind(digest.as_str())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let channel = SlackChannelId::parse(row.try_get::<String, _>("channel")?)
            .map_err(|e| StoreError::inconsistent("digests", digest.as_str(), &e))?;
        let found =
            sqlx::query("SELECT request_id FROM digest_requests WHERE digest_id = $1 ORDER BY place, request_id")
                .bind(digest.as_str())
                .fetch_all(self.readers())
                .await?;
        let requests = found.iter().map(|row| id("digest_requests", row)).collect::<Result<_, _>>()?;
        Ok(Some(Digest { id: digest.clone(), channel, requests }))
    }

    /// The digests that an access request stands on, with their channels.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn digests_of(&self, request: &RequestId) -> Result<Vec<(RequestId, String)>, StoreError> {
        let found = sqlx::query(
            "SELECT d.id, d.channel FROM digest_requests AS r JOIN digests AS d ON d.id = r.digest_id
             WHERE r.request_id = $1 ORDER BY d.id",
        )
        .bind(request.as_str())
        .fetch_all(self.readers())
        .await?;
        found.iter().map(|row| Ok((id("digests", row)?, row.try_get("channel")?))).collect()
    }

    /// The cards of a digest, oldest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn digest_cards(&self, digest: &RequestId) -> Result<Vec<MessageRef>, StoreError> {
        let found = sqlx::query("SELECT channel, ts FROM digest_cards WHERE digest_id = $1 ORDER BY posted_at, ts")
            .bind(digest.as_str())
            .fetch_all(self.readers())
            .await?;
        found.iter().map(message).collect()
    }

    /// Keeps the hash of the value of a digest's buttons before they are sent.
    ///
    /// # Errors
    /// When the database does not answer: then they must not be sent.
    pub async fn mint_digest(
        &self,
        value: &str,
        digest: &RequestId,
        channel: &str,
        ts: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO digest_buttons (value_hash, digest_id, channel, ts, minted_at) VALUES ($1, $2, $3, $4, $5)";
        self.mint_beside(INSERT, value, digest, (channel, ts), now).await
    }

    /// What a button of a digest was made for, and the access request as it is now, if it stands there.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn opened(
        &self,
        value: &str,
        request: &RequestId,
    ) -> Result<Option<(Button, AccessRequest)>, StoreError> {
        let hash = sha256_hex(value.as_bytes());
        let found = sqlx::query(
            "SELECT b.channel, b.ts FROM digest_buttons AS b
             JOIN digest_requests AS r ON r.digest_id = b.digest_id AND r.request_id = $2 WHERE b.value_hash = $1",
        )
        .bind(&hash)
        .bind(request.as_str())
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = found else { return Ok(None) };
        let Some(request) = self.request(request).await? else { return Ok(None) };
        let button = Button {
            request: request.id.clone(),
            shown_version: request.shown_version,
            channel: row.try_get("channel")?,
            ts: row.try_get("ts")?,
            hash,
        };
        Ok(Some((button, request)))
    }

    /// Whether a later row of the outbox does the same as this one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_done_later(&self, row: &super::Claimed) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT 1 FROM outbox WHERE state = 'ready' AND substr(lane, instr(lane, '/') + 1) = $1 AND request_id = $2 AND body = $3 AND id > $4 LIMIT 1",
        )
        .bind(&row.lane)
        .bind(row.request_id.as_str())
        .bind(rows::json(&row.delivery)?)
        .bind(row.id)
        .fetch_optional(self.readers())
        .await?;
        Ok(found.is_some())
    }

    /// Forgets which cards asked whom, once that counts no more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_cards_of_people(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.timestamp_millis() - HOUR;
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("DELETE FROM cards_of_people WHERE at <= $1").bind(before).execute(&mut w.conn).await?;
                Ok(())
            })
        })
        .await
    }
}

/// What a commit says about digests.
pub(super) fn write(script: &mut Script, commit: &Commit, now: Timestamp) {
    let at = now.timestamp_millis();
    if let Some(Joined { digest, channel, request }) = &commit.joined {
        script
            .run("INSERT INTO digests (id, channel, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(digest.as_str())
            .bind(channel.as_str())
            .bind(at);
        script
            .run(
                "INSERT INTO digest_requests (digest_id, request_id, place)
                 VALUES (?, ?, (SELECT count(*) FROM digest_requests WHERE digest_id = ?)) ON CONFLICT DO NOTHING",
            )
            .bind(digest.as_str())
            .bind(request.as_str())
            .bind(digest.as_str());
    }
    if let Some((hash, message)) = &commit.bind_digest {
        script
            .run("UPDATE digest_buttons SET ts = ? WHERE value_hash = ? AND channel = ? AND ts IS NULL")
            .bind(message.ts.as_str())
            .bind(hash.as_str())
            .bind(message.channel.as_str());
        script
            .run("SELECT 1 FROM digest_buttons WHERE value_hash = ? AND channel = ? AND ts = ?")
            .bind(hash.as_str())
            .bind(message.channel.as_str())
            .bind(message.ts.as_str())
            .finds_or(conflict());
        // Where no answer came, the click says where that card is: from now on it is edited like any other.
        script
            .run(
                "INSERT INTO digest_cards (channel, ts, digest_id, posted_at)
                 SELECT channel, ts, digest_id, ? FROM digest_buttons WHERE value_hash = ? ON CONFLICT DO NOTHING",
            )
            .bind(at)
            .bind(hash.as_str());
    }
    if let Some((digest, message)) = &commit.digest_card {
        script
            .run("INSERT INTO digest_cards (channel, ts, digest_id, posted_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(message.channel.as_str())
            .bind(message.ts.as_str())
            .bind(digest.as_str())
            .bind(at);
    }
}

/// The identifier in the first column.
fn id(table: &'static str, row: &SqliteRow) -> Result<RequestId, StoreError> {
    let id: String = row.try_get(0)?;
    RequestId::parse(id.clone()).map_err(|e| StoreError::inconsistent(table, &id, &e))
}
