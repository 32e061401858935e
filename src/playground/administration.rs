//! What an administrator or a member does to the workspace while the service runs: each changes the
//! workspace and tells the app by the event that Slack would send.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory;
use super::events::event_ts;
use super::installs::{Ended, Installation, Place, Seat};
use super::page::refusal;
use super::{Held, Playground};
use crate::clock::Timestamp;

/// The routes of these gestures.
pub fn routes() -> Router<Playground> {
    Router::new().route("/page/admin", post(act)).route("/page/app", post(app)).route("/page/scopes", post(scopes))
}

/// `POST /page/admin`: what somebody does, by the member `do`.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Act {
    /// Deletes a message. Slack tells the app nothing of that.
    DeleteMessage { channel: String, ts: String },
    /// Archives a channel.
    ArchiveChannel { channel: String },
    /// Brings an archived channel back. Slack tells this app nothing of that.
    UnarchiveChannel { channel: String },
    /// Takes the app's bot user out of a channel.
    RemoveBot { channel: String },
    /// Invites the bot user, or anybody, into a channel.
    Join { channel: String, user: String },
    /// Somebody leaves a channel.
    Leave { channel: String, user: String },
    /// Shares a channel with another organization's workspace.
    ShareChannel { channel: String, with: String },
    /// Ends that.
    UnshareChannel { channel: String, with: String },
    /// Slack gives a channel another id, as happens when a private channel is about to be shared.
    ChangeChannelId { channel: String, to: String },
    /// Deactivates an account.
    DeactivateUser { user: String },
    /// Changes some members of somebody's record, and says so.
    ChangeUser { user: String, set: serde_json::Map<String, Value> },
    /// Replaces the members of a user group.
    ChangeGroup { group: String, users: Vec<String> },
    /// Removes the app.
    Uninstall,
    /// Revokes the app's tokens and leaves it installed.
    RevokeTokens,
    /// Installs it again after either.
    Reinstall,
}

#[derive(Debug, Deserialize)]
struct Acted {
    #[serde(default)]
    team: Option<String>,
    #[serde(flatten)]
    act: Act,
}

/// What the app is told.
type Told = Result<Vec<Value>, String>;

async fn act(State(playground): State<Playground>, Json(acted): Json<Acted>) -> Response {
    let now = playground.now();
    let (seat, told) = playground.change(|state| {
        let seat = seat_of(state, &acted);
        (seat, perform(state.installs.at_mut(seat), &acted.act, now))
    });
    let events = match told {
        Ok(events) => events,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, &why),
    };
    let mut report = Vec::new();
    for event in events {
        let kind = event["type"].clone();
        report.push(match playground.tell(seat, event).await {
            None => json!({ "event": kind, "delivered": false, "why": "the app did not subscribe to it" }),
            Some(Ok(taken)) => {
                let mut told = taken.report();
                told["event"] = kind;
                told
            }
            Some(Err(why)) => json!({ "event": kind, "delivered": false, "why": why }),
        });
    }
    Json(json!({ "events": report })).into_response()
}

fn seat_of(state: &Held, acted: &Acted) -> Seat {
    let (channel, person) = match &acted.act {
        Act::DeleteMessage { channel, .. }
        | Act::ArchiveChannel { channel }
        | Act::UnarchiveChannel { channel }
        | Act::RemoveBot { channel }
        | Act::Join { channel, .. }
        | Act::Leave { channel, .. }
        | Act::ShareChannel { channel, .. }
        | Act::UnshareChannel { channel, .. }
        | Act::ChangeChannelId { channel, .. } => (Some(channel.as_str()), ""),
        Act::DeactivateUser { user } | Act::ChangeUser { user, .. } => (None, user.as_str()),
        Act::ChangeGroup { group, .. } => {
            let holds = |held: &Installation| held.workspace.groups.contains_key(group);
            match state.installs.all().position(holds) {
                Some(seat) if acted.team.is_none() => return seat,
                _ => (None, ""),
            }
        }
        Act::Uninstall | Act::RevokeTokens | Act::Reinstall => (None, ""),
    };
    state.installs.of(Place { person, channel, team: acted.team.as_deref(), view: None })
}

fn perform(install: &mut Installation, act: &Act, now: Timestamp) -> Told {
    let ts = event_ts(now);
    match act {
        Act::DeleteMessage { channel, ts } => {
            install.workspace.delete(channel, ts, None).map_err(|refused| refused.code.to_owned())?;
            Ok(Vec::new())
        }
        Act::ArchiveChannel { channel } => {
            set(install, channel, &json!({ "is_archived": true }))?;
            Ok(vec![json!({ "type": "channel_archive", "channel": channel, "user": "U0ADMIN", "event_ts": ts })])
        }
        Act::UnarchiveChannel { channel } => {
            set(install, channel, &json!({ "is_archived": false })).map(|()| Vec::new())
        }
        Act::RemoveBot { channel } => {
            let bot = install.workspace.bot_user.clone();
            members(install, channel, |all| all.retain(|one| *one != bot))?;
            Ok(vec![json!({ "type": "channel_left", "channel": channel, "actor_id": "U0ADMIN", "event_ts": ts })])
        }
        Act::Join { channel, user } => {
            members(install, channel, |all| {
                if !all.contains(user) {
                    all.push(user.clone());
                }
            })?;
            Ok(vec![membership("member_joined_channel", install, channel, user, &ts)])
        }
        Act::Leave { channel, user } => {
            members(install, channel, |all| all.retain(|one| one != user))?;
            Ok(vec![membership("member_left_channel", install, channel, user, &ts)])
        }
        Act::ShareChannel { channel, with } => {
            set(install, channel, &json!({ "is_ext_shared": true }))?;
            let event =
                json!({ "type": "channel_shared", "connected_team_id": with, "channel": channel, "event_ts": ts });
            Ok(vec![event])
        }
        Act::UnshareChannel { channel, with } => {
            set(install, channel, &json!({ "is_ext_shared": false }))?;
            Ok(vec![json!({
                "type": "channel_unshared", "previously_connected_team_id": with, "channel": channel,
                "is_ext_shared": false, "event_ts": ts,
            })])
        }
        Act::ChangeChannelId { channel, to } => {
            install.workspace.rename_channel(channel, to)?;
            let event = json!({
                "type": "channel_id_changed", "old_channel_id": channel, "new_channel_id": to, "event_ts": ts,
            });
            Ok(vec![event])
        }
        Act::DeactivateUser { user } => person(install, user, &json!({ "deleted": true }), now),
        Act::ChangeUser { user, set } => person(install, user, &Value::Object(set.clone()), now),
        Act::ChangeGroup { group, users } => change_group(install, group, users, now),
        Act::Uninstall => {
            install.ended = Some(Ended::Uninstalled);
            Ok(vec![revoked(install, &ts), json!({ "type": "app_uninstalled", "event_ts": ts })])
        }
        Act::RevokeTokens => {
            install.ended = Some(Ended::Revoked);
            Ok(vec![revoked(install, &ts)])
        }
        Act::Reinstall => {
            install.ended = None;
            Ok(Vec::new())
        }
    }
}

fn revoked(install: &Installation, ts: &str) -> Value {
    let bot = &install.workspace.bot_user;
    json!({ "type": "tokens_revoked", "tokens": { "oauth": [], "bot": [bot] }, "event_ts": ts })
}

fn membership(kind: &str, install: &Installation, channel: &str, user: &str, ts: &str) -> Value {
    let letter = channel.get(..1).unwrap_or("C");
    json!({
        "type": kind, "user": user, "channel": channel, "channel_type": letter,
        "team": install.workspace.home_of(channel), "event_ts": ts,
    })
}

fn set(install: &mut Installation, channel: &str, members: &Value) -> Result<(), String> {
    let members = members.as_object().cloned().unwrap_or_default();
    install.workspace.change_channel(channel, &members)
}

fn members(install: &mut Installation, channel: &str, change: impl FnOnce(&mut Vec<String>)) -> Result<(), String> {
    let held = install.workspace.channels.get_mut(channel).ok_or("there is no such channel")?;
    change(&mut held.members);
    Ok(())
}

fn person(install: &mut Installation, id: &str, set: &Value, now: Timestamp) -> Told {
    let members = set.as_object().cloned().unwrap_or_default();
    install.workspace.change_person(id, &members)?;
    let held = install.workspace.people.get(id).ok_or("there is no such person")?;
    let user = directory::user(&install.workspace, held);
    Ok(vec![json!({ "type": "user_change", "user": user, "cache_ts": now.timestamp(), "event_ts": event_ts(now) })])
}

fn change_group(install: &mut Installation, id: &str, users: &[String], now: Timestamp) -> Told {
    let before = install.workspace.groups.get(id).ok_or("there is no such user group")?.users.clone();
    install.workspace.change_group(id, users.to_vec())?;
    let missing_in = |all: &[String], from: &[String]| -> Vec<String> {
        from.iter().filter(|user| !all.contains(user)).cloned().collect()
    };
    let (added, removed) = (missing_in(&before, users), missing_in(users, &before));
    Ok(vec![json!({
        "type": "subteam_members_changed", "subteam_id": id, "team_id": install.workspace.home_of(id),
        "date_previous_update": now.timestamp() - 60, "date_update": now.timestamp(),
        "added_users": added, "added_users_count": added.len(), "removed_users": removed,
        "removed_users_count": removed.len(), "event_ts": event_ts(now),
    })])
}

/// `POST /page/app`: what the app was given: scopes, or the events that it subscribed to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    events: Option<Vec<String>>,
}

async fn app(State(playground): State<Playground>, Json(given): Json<Given>) -> StatusCode {
    playground.change(|state| {
        let seat = state.installs.of(Place { team: given.team.as_deref(), ..Place::default() });
        let install = state.installs.at_mut(seat);
        if let Some(scopes) = given.scopes {
            install.scopes = scopes.into_iter().collect();
        }
        if let Some(events) = given.events {
            install.events = events.into_iter().collect();
        }
    });
    StatusCode::NO_CONTENT
}

/// `POST /page/scopes`: which scopes the app has and which of them its calls needed until now.
async fn scopes(State(playground): State<Playground>, Json(given): Json<Given>) -> Json<Value> {
    Json(playground.read(|state| {
        let seat = state.installs.of(Place { team: given.team.as_deref(), ..Place::default() });
        let install = state.installs.at(seat);
        json!({ "granted": install.scopes, "used": install.used })
    }))
}
