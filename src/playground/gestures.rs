//! What reaches the app besides clicks and forms: an opened Home tab, a slash command, and for the
//! tests anything at all.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::delivery::{FORM, JSON};
use super::interactions::{LEGACY_TOKEN, channel_object};
use super::workspace::{Draft, Workspace};
use super::{Playground, blocks};
use crate::clock::Timestamp;

/// Who opens their Home tab.
#[derive(Debug, Deserialize)]
pub struct HomeOpened {
    #[serde(rename = "as")]
    person: String,
}

/// `POST /page/home`: somebody opens the Home tab; the app gets the event `app_home_opened`.
pub async fn open_home(State(playground): State<Playground>, Json(opened): Json<HomeOpened>) -> Json<Value> {
    let now = playground.now();
    let event = playground.read(|state| {
        let workspace = &state.workspace;
        let person = workspace.people.get(&opened.person)?;
        let micros = now.timestamp_micros();
        let mut event = json!({
            "type": "app_home_opened", "user": person.id, "channel": person.direct_channel(), "tab": "home",
            "event_ts": format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
        });
        if let Some(home) = workspace.homes.get(&person.id) {
            event["view"] = workspace.view_object(&person.id, home);
        }
        Some(json!({
            "type": "event_callback", "token": LEGACY_TOKEN, "event": event,
            "team_id": workspace.team.id, "api_app_id": workspace.app_id, "event_time": now.timestamp(),
            "event_id": format!("Ev{}", super::random_hex().to_uppercase()),
            "authorizations": [{
                "enterprise_id": null, "team_id": workspace.team.id, "user_id": workspace.bot_user,
                "is_bot": true, "is_enterprise_install": false,
            }],
        }))
    });
    let Some(event) = event else { return Json(json!({ "delivered": false, "why": "there is no such person" })) };
    let sent = playground.deliver("app_home_opened", "/slack/events", JSON, event.to_string()).await;
    Json(sent.map_or_else(|why| json!({ "delivered": false, "why": why }), |taken| taken.report()))
}

/// `POST /page/command`: somebody types a slash command in a channel.
#[derive(Debug, Deserialize)]
pub struct Command {
    #[serde(rename = "as")]
    person: String,
    channel: String,
    command: String,
    #[serde(default)]
    text: String,
}

/// Sends the command; what the app answers is shown in the channel, to the person alone unless the
/// answer says `in_channel`.
pub async fn command(State(playground): State<Playground>, Json(typed): Json<Command>) -> Json<Value> {
    let now = playground.now();
    let refused = |why: String| Json(json!({ "delivered": false, "why": why }));
    let body = match playground.change(|state| command_form(&mut state.workspace, &typed, now)) {
        Ok(body) => body,
        Err(why) => return refused(why),
    };
    let taken = match playground.deliver("command", "/slack/commands", FORM, body).await {
        Ok(taken) => taken,
        Err(why) => return refused(why),
    };
    if taken.status == 200 && !taken.body.trim().is_empty() {
        let shown = playground.change(|state| show_answer(&mut state.workspace, &typed, &taken.body, now));
        if let Err(why) = shown {
            return refused(why);
        }
    }
    Json(taken.report())
}

fn command_form(workspace: &mut Workspace, typed: &Command, now: Timestamp) -> Result<String, String> {
    let trigger = workspace.trigger(&typed.person, now);
    let person = workspace.people.get(&typed.person).ok_or("there is no such person")?;
    let channel = workspace.channels.get(&typed.channel).filter(|channel| channel.has(&person.id));
    let channel = channel.ok_or("this person does not see that channel")?;
    if person.team_id != workspace.team.id {
        return Err("only members of the workspace where the app is installed can use its commands".to_owned());
    }
    let channel_object = channel_object(channel);
    let fields = [
        ("token", LEGACY_TOKEN),
        ("team_id", &workspace.team.id),
        ("team_domain", &workspace.team.domain),
        ("channel_id", &channel.id),
        ("channel_name", channel_object["name"].as_str().unwrap_or_default()),
        ("user_id", &person.id),
        ("user_name", &person.name),
        ("command", &typed.command),
        ("text", &typed.text),
        ("api_app_id", &workspace.app_id),
        ("is_enterprise_install", "false"),
        ("trigger_id", &trigger),
    ];
    serde_urlencoded::to_string(fields).map_err(|error| error.to_string())
}

fn show_answer(workspace: &mut Workspace, typed: &Command, body: &str, now: Timestamp) -> Result<(), String> {
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({ "text": body }));
    let given = answer.get("blocks").filter(|blocks| !blocks.is_null()).cloned();
    let blocks = given.map(blocks::message).transpose().map_err(|found| found.join("; "))?;
    let text = answer["text"].as_str().map(str::to_owned);
    if text.is_none() && blocks.is_none() {
        return Ok(());
    }
    let draft = Draft { text, blocks, ..Draft::default() };
    let shown = match answer["response_type"] == "in_channel" {
        true => workspace.post(&typed.channel, draft, now),
        false => workspace.whisper(&typed.channel, &typed.person, draft, now),
    };
    shown.map(drop).map_err(|refused| refused.code.to_owned())
}

/// `POST /page/raw`: anything at all, signed unless it says otherwise. A `timestamp` or `signature` of
/// null leaves that header out.
#[derive(Debug, Deserialize)]
pub struct Raw {
    path: String,
    body: String,
    #[serde(default, deserialize_with = "given")]
    timestamp: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    signature: Option<Value>,
    #[serde(default)]
    content_type: Option<String>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Sends it to the service's Slack routes and answers `{"status", "body"}`.
pub async fn raw(State(playground): State<Playground>, Json(raw): Json<Raw>) -> Response {
    if !raw.path.starts_with("/slack/") {
        return super::page::refusal(StatusCode::BAD_REQUEST, "the path must start with /slack/");
    }
    let header = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let now = playground.now().timestamp().to_string();
    let timestamp = raw.timestamp.map_or(Some(now.clone()), header);
    let signature = match raw.signature {
        Some(given) => header(given),
        None => Some(playground.signature(timestamp.as_deref().unwrap_or(&now), raw.body.as_bytes())),
    };
    let kind = raw.content_type.as_deref().unwrap_or(FORM);
    match playground.send(&raw.path, kind, raw.body, timestamp, signature).await {
        Ok(taken) => Json(json!({ "status": taken.status, "body": taken.body })).into_response(),
        Err(why) => super::page::refusal(StatusCode::BAD_GATEWAY, &why),
    }
}
