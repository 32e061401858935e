//! Where people are told and what they can press there: the buttons of direct messages and of App Home, the last
//! message to each requester, and whoever has opened Home.

use sqlx::Row;

use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::MessageRef;
use crate::domain::hashing::sha256_hex;
use crate::domain::identity::Principal;
use crate::domain::ids::{GrantId, RequestId, SlackChannelId, SlackTeamId, SlackUserId};

/// How long the buttons of a Home that was drawn anew still count, in milliseconds: somebody may just be pressing one.
const OLD_BUTTONS_COUNT: i64 = 15 * 60 * 1_000;

/// Where a button stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a direct message.
    Direct,
    /// In App Home.
    Home,
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Home => "home",
        }
    }
}

/// A button that counts for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its value; only its hash is stored.
    pub value: String,
    /// In which workspace it counts.
    pub workspace: SlackTeamId,
    /// For whom it counts there.
    pub user: SlackUserId,
    /// Where it stands.
    pub place: Place,
    /// What it does.
    pub action: String,
    /// About which access request.
    pub request: Option<RequestId>,
    /// About which grant.
    pub grant: Option<GrantId>,
}

impl Control {
    /// Whether it counts for this account of this workspace.
    pub fn is_of(&self, workspace: &SlackTeamId, user: &SlackUserId) -> bool {
        self.workspace == *workspace && self.user == *user
    }
}

/// The last direct message to the requester of an access request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The access request.
    pub request: RequestId,
    /// The message.
    pub message: MessageRef,
    /// What it shows.
    pub stage: String,
}

/// Somebody's App Home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeOf {
    /// Whose.
    pub user: SlackUserId,
    /// What Slack calls the view; none before it was drawn.
    pub view_id: Option<String>,
    /// The page that they look at.
    pub page: u32,
    /// When it was drawn last.
    pub published_at: Timestamp,
}

impl Store {
    /// Keeps the hashes of buttons before they are sent.
    ///
    /// # Errors
    /// When the database does not answer: then they must not be sent.
    pub async fn mint_controls(&self, controls: &[Control], now: Timestamp) -> Result<(), StoreError> {
        let row = |one: &Control| {
            let hash = sha256_hex(one.value.as_bytes());
            let (request, grant) =
                (one.request.as_ref().map(ToString::to_string), one.grant.as_ref().map(ToString::to_string));
            (
                hash,
                one.user.to_string(),
                one.place.as_str(),
                one.action.clone(),
                request,
                grant,
                one.workspace.to_string(),
            )
        };
        let Some(first) = controls.first() else { return Ok(()) };
        let (workspace, user) = (first.workspace.to_string(), first.user.to_string());
        let (place, at) = (first.place.as_str(), now.timestamp_millis());
        let all = rows::json(&controls.iter().map(row).collect::<Vec<_>>())?;
        self.write(move |w| {
            Box::pin(async move {
                if place == Place::Home.as_str() {
                    sqlx::query(
                        "DELETE FROM controls WHERE workspace = $4 AND slack_user = $1 AND place = $2 AND minted_at < $3",
                    )
                    .bind(user)
                    .bind(place)
                    .bind(at - OLD_BUTTONS_COUNT)
                    .bind(workspace)
                        .execute(&mut w.conn)
                        .await?;
                }
                sqlx::query(
                    "INSERT INTO controls (value_hash, slack_user, place, action, request_id, grant_id, workspace, minted_at)
                     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, $2
                     FROM json_each($1)",
                )
                .bind(all)
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// What a button was made for, by its value.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn control(&self, value: &str) -> Result<Option<Control>, StoreError> {
        let hash = sha256_hex(value.as_bytes());
        let found = sqlx::query("SELECT * FROM controls WHERE value_hash = $1")
            .bind(&hash)
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let wrong = |e: &dyn std::fmt::Display| StoreError::inconsistent("controls", &hash, e);
        let request: Option<String> = row.try_get("request_id")?;
        let grant: Option<String> = row.try_get("grant_id")?;
        let place: String = row.try_get("place")?;
        Ok(Some(Control {
            value: value.to_owned(),
            workspace: SlackTeamId::parse(row.try_get::<String, _>("workspace")?).map_err(|e| wrong(&e))?,
            user: SlackUserId::parse(row.try_get::<String, _>("slack_user")?).map_err(|e| wrong(&e))?,
            place: if place == "home" { Place::Home } else { Place::Direct },
            action: row.try_get("action")?,
            request: request.map(|id| RequestId::parse(id).map_err(|e| wrong(&e))).transpose()?,
            grant: grant.map(|id| GrantId::parse(id).map_err(|e| wrong(&e))).transpose()?,
        }))
    }

    /// The last direct message to the requester of an access request.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn notice(&self, request: &RequestId) -> Result<Option<Notice>, StoreError> {
        let found = sqlx::query("SELECT channel, ts, stage FROM notices WHERE request_id = $1")
            .bind(request.as_str())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let channel = SlackChannelId::parse(row.try_get::<String, _>("channel")?)
            .map_err(|e| StoreError::inconsistent("notices", request.as_str(), &e))?;
        let message = MessageRef { channel, ts: row.try_get("ts")? };
        Ok(Some(Notice { request: request.clone(), message, stage: row.try_get("stage")? }))
    }

    /// Remembers the last direct message to the requester of an access request.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn noticed(&self, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
        let (notice, at) = (notice.clone(), now.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO notices (request_id, channel, ts, stage, posted_at) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (request_id) DO UPDATE SET channel = excluded.channel, ts = excluded.ts,
                       stage = excluded.stage, posted_at = excluded.posted_at",
                )
                .bind(notice.request.as_str())
                .bind(notice.message.channel.as_str())
                .bind(&notice.message.ts)
                .bind(&notice.stage)
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Somebody opened App Home.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn home_opened(
        &self,
        workspace: &SlackTeamId,
        user: &SlackUserId,
        who: Option<&Principal>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (user, who) = (user.to_string(), who.map(|who| who.as_str().to_owned()));
        let workspace = workspace.to_string();
        let at = now.timestamp_millis();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO homes (slack_user, principal, opened_at, workspace) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (workspace, slack_user) DO UPDATE SET principal = excluded.principal, opened_at = excluded.opened_at,
                       page = 0",
                )
                .bind(user)
                .bind(who)
                .bind(at)
                .bind(workspace)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Somebody's App Home, if they have opened it.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn home(&self, workspace: &SlackTeamId, user: &SlackUserId) -> Result<Option<HomeOf>, StoreError> {
        let found = sqlx::query("SELECT * FROM homes WHERE workspace = $1 AND slack_user = $2")
            .bind(workspace.as_str())
            .bind(user.as_str())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let page: i64 = row.try_get("page")?;
        Ok(Some(HomeOf {
            user: user.clone(),
            view_id: row.try_get("view_id")?,
            page: u32::try_from(page).map_err(|e| StoreError::inconsistent("homes", user.as_str(), &e))?,
            published_at: rows::time("homes", user.as_str(), row.try_get("published_at")?)?,
        }))
    }

    /// Those of these people of a workspace who have opened App Home since `since`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn viewers(
        &self,
        workspace: &SlackTeamId,
        users: &[SlackUserId],
        people: &[Principal],
        since: Timestamp,
    ) -> Result<Vec<SlackUserId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT slack_user FROM homes WHERE workspace = $4 AND opened_at >= $3 AND (slack_user IN (SELECT value FROM json_each($1))
               OR principal IN (SELECT value FROM json_each($2)))",
        )
        .bind(rows::json(&users)?)
        .bind(rows::json(&people)?)
        .bind(since.timestamp_millis())
        .bind(workspace.as_str())
        .fetch_all(self.readers())
        .await?;
        Ok(found.into_iter().filter_map(|id| SlackUserId::parse(id).ok()).collect())
    }

    /// App Home was drawn, or another page of it is to be.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn home_drawn(
        &self,
        workspace: &SlackTeamId,
        user: &SlackUserId,
        view_id: Option<&str>,
        page: Option<u32>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let workspace = workspace.to_string();
        let (user, view_id, page) = (user.to_string(), view_id.map(str::to_owned), page.map(i64::from));
        let at = now.timestamp_millis();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE homes SET view_id = coalesce($2, view_id), page = coalesce($3, page),
                       published_at = CASE WHEN $2 IS NULL THEN published_at ELSE $4 END WHERE workspace = $5 AND slack_user = $1",
                )
                .bind(user)
                .bind(view_id)
                .bind(page)
                .bind(at)
                .bind(workspace)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }
}
