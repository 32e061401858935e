//! The Web API: `POST` or `GET /api/{method}`, arguments as JSON, form or query, Slack's answers.

use std::collections::VecDeque;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::workspace::{ChannelKind, Draft, Message, Refused, Workspace};
use super::{Playground, blocks, faults};
use crate::clock::Timestamp;

/// How many calls the log keeps; the oldest go first.
const LOG_MAX: usize = 2_000;

/// Arguments that are larger, in bytes, are not kept in the log.
const LOGGED_ARGUMENTS_MAX: usize = 64 << 10;

type Arguments = Map<String, Value>;

/// One Web API call that arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Logged {
    n: u64,
    method: String,
    args: Value,
    answered: String,
}

/// The calls that arrived, in order.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Logged>,
    arrived: u64,
}

impl Log {
    fn arrival(&mut self, method: &str, arguments: &Arguments) -> u64 {
        self.arrived += 1;
        if self.entries.len() >= LOG_MAX {
            self.entries.pop_front();
        }
        let (n, method) = (self.arrived, method.to_owned());
        self.entries.push_back(Logged { n, method, args: without_tokens(arguments), answered: "pending".to_owned() });
        n
    }

    fn answered(&mut self, n: u64, how: String) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.n == n) {
            entry.answered = how;
        }
    }
}

/// `GET /log`: the calls seen, oldest first. Tokens never stand in it.
pub async fn log(State(playground): State<Playground>) -> Json<Vec<Logged>> {
    Json(playground.read(|state| state.log.entries.iter().cloned().collect()))
}

/// Arguments as they may be kept: no `token`, nothing that looks like a token of Slack, nothing huge.
fn without_tokens(arguments: &Arguments) -> Value {
    let kept: Arguments =
        arguments.iter().filter(|(key, _)| *key != "token").map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut kept = Value::Object(kept);
    hide_tokens(&mut kept);
    match kept.to_string().len() {
        size if size > LOGGED_ARGUMENTS_MAX => json!({ "too_large": size }),
        _ => kept,
    }
}

fn hide_tokens(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("xox") || text.contains("xapp-") => *text = "(hidden)".to_owned(),
        Value::Array(list) => list.iter_mut().for_each(hide_tokens),
        Value::Object(members) => members.values_mut().for_each(hide_tokens),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Any Web API call.
pub async fn call(
    State(playground): State<Playground>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let arguments = arguments(query.as_deref(), &headers, &body);
    let known = arguments.clone().unwrap_or_default();
    let (n, plugged, fault) = playground.change(|state| {
        let n = state.log.arrival(&method, &known);
        let fault = state.plugged.then(|| state.faults.for_call(&method)).flatten();
        if let Some(fault) = &fault {
            state.log.answered(n, fault.name());
        }
        (n, state.plugged, fault)
    });
    if !plugged {
        playground.change(|state| state.log.answered(n, "fault:unplugged".to_owned()));
        return faults::cut();
    }
    if let Some(fault) = &fault {
        tokio::time::sleep(fault.delay()).await;
    }
    let performed = fault.as_ref().is_none_or(faults::Fault::performs).then(|| {
        let outcome = authorized(&playground, &headers, &known).and(arguments).and_then(|arguments| {
            let now = playground.now();
            playground.change(|state| perform(&mut state.workspace, &method, &arguments, now))
        });
        answer(outcome)
    });
    let instead = fault.as_ref().and_then(faults::Fault::answer);
    match (instead, performed) {
        (Some(instead), _) => instead,
        (None, Some((how, answer))) => {
            playground.change(|state| state.log.answered(n, how));
            answer
        }
        (None, None) => faults::cut(),
    }
}

/// Slack's answer, and how the log calls it.
fn answer(outcome: Result<Value, Refused>) -> (String, Response) {
    let (how, body) = match outcome {
        Ok(mut value) => {
            value["ok"] = json!(true);
            ("ok".to_owned(), value)
        }
        Err(refused) => {
            let mut body = json!({ "ok": false, "error": refused.code });
            if !refused.messages.is_empty() {
                body["errors"] = json!(refused.messages);
                body["response_metadata"] = json!({ "messages": refused.messages });
            }
            (format!("error:{}", refused.code), body)
        }
    };
    let says_so =
        (HeaderName::from_static("x-stand-in"), HeaderValue::from_static("countersign playground, not Slack"));
    (how, ([says_so], Json(body)).into_response())
}

/// The token must be the stand-in's own. Any other is refused, a real one of Slack above all.
fn authorized(playground: &Playground, headers: &HeaderMap, arguments: &Arguments) -> Result<(), Refused> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let shown = bearer.or_else(|| arguments.get("token").and_then(Value::as_str)).ok_or(Refused::from("not_authed"))?;
    let own = playground.0.bot_token.expose_secret();
    verify_slices_are_equal(shown.as_bytes(), own.as_bytes()).map_err(|_| Refused::from("invalid_auth"))
}

/// The arguments of query and body together; the body wins.
fn arguments(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Arguments, Refused> {
    let mut all = form(query.unwrap_or_default().as_bytes())?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if body.is_empty() {
        return Ok(all);
    }
    if kind.starts_with("application/json") {
        let value: Value = serde_json::from_slice(body).map_err(|_| Refused::from("invalid_json"))?;
        let Value::Object(members) = value else { return Err("json_not_object".into()) };
        all.extend(members);
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        all.extend(form(body)?);
    } else {
        return Err("invalid_post_type".into());
    }
    Ok(all)
}

fn form(text: &[u8]) -> Result<Arguments, Refused> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_bytes(text).map_err(|_| Refused::from("invalid_form_data"))?;
    Ok(pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
}

/// Performs one method on the workspace.
fn perform(workspace: &mut Workspace, method: &str, a: &Arguments, now: Timestamp) -> Result<Value, Refused> {
    match method {
        "auth.test" => Ok(auth_test(workspace)),
        "chat.postMessage" => post_message(workspace, a, now),
        "chat.update" => update_message(workspace, a),
        "chat.postEphemeral" => post_ephemeral(workspace, a, now),
        "conversations.open" => open_conversation(workspace, a),
        "conversations.info" => conversation_info(workspace, a),
        "users.info" => Ok(json!({ "user": workspace.person(text(a, "user"))?.user_object() })),
        "users.lookupByEmail" => person_by_address(workspace, a),
        "usergroups.users.list" => group_users(workspace, a),
        "usergroups.list" => Ok(groups(workspace, a)),
        "views.open" => {
            let view = view_argument(a)?;
            Ok(json!({ "view": workspace.open_view(text(a, "trigger_id"), view, now)? }))
        }
        "views.update" => {
            let view = view_argument(a)?;
            Ok(json!({ "view": workspace.update_view(text(a, "view_id"), hash(a), view)? }))
        }
        "views.publish" => {
            let view = view_argument(a)?;
            Ok(json!({ "view": workspace.publish_home(text(a, "user_id"), hash(a), view)? }))
        }
        _ => Err("unknown_method".into()),
    }
}

fn auth_test(workspace: &Workspace) -> Value {
    let team = &workspace.team;
    json!({
        "url": format!("https://{}.slack.com/", team.domain), "team": team.name, "team_id": team.id,
        "user": workspace.app_name().to_lowercase(), "user_id": workspace.bot_user, "bot_id": workspace.bot_id,
        "is_enterprise_install": false, "stand_in": true,
    })
}

fn post_message(workspace: &mut Workspace, a: &Arguments, now: Timestamp) -> Result<Value, Refused> {
    let (channel, message) = workspace.post(text(a, "channel"), draft(a)?, now)?;
    Ok(said(workspace, &channel, &message))
}

fn update_message(workspace: &mut Workspace, a: &Arguments) -> Result<Value, Refused> {
    let message = workspace.update(text(a, "channel"), text(a, "ts"), draft(a)?)?;
    let mut answer = said(workspace, text(a, "channel"), &message);
    answer["text"] = json!(message.text);
    Ok(answer)
}

fn said(workspace: &Workspace, channel: &str, message: &Message) -> Value {
    json!({ "channel": channel, "ts": message.ts, "message": workspace.message_object(message) })
}

fn post_ephemeral(workspace: &mut Workspace, a: &Arguments, now: Timestamp) -> Result<Value, Refused> {
    let (_, message) = workspace.whisper(text(a, "channel"), text(a, "user"), draft(a)?, now)?;
    Ok(json!({ "message_ts": message.ts }))
}

fn open_conversation(workspace: &mut Workspace, a: &Arguments) -> Result<Value, Refused> {
    let users: Vec<&str> = match a.get("users") {
        Some(Value::Array(users)) => users.iter().filter_map(Value::as_str).collect(),
        _ => text(a, "users").split(',').map(str::trim).filter(|user| !user.is_empty()).collect(),
    };
    match (users.as_slice(), text(a, "channel")) {
        ([user], "") => Ok(json!({ "channel": { "id": workspace.direct_with(user)? } })),
        ([], channel) if workspace.channels.contains_key(channel) => Ok(json!({ "channel": { "id": channel } })),
        ([], "") => Err("users_list_not_supplied".into()),
        ([], _) => Err("channel_not_found".into()),
        _ => Err("method_not_supported_for_channel_type".into()),
    }
}

fn conversation_info(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let channel = workspace.channels.get(text(a, "channel")).ok_or(Refused::from("channel_not_found"))?;
    let direct = channel.kind == ChannelKind::Dm;
    let mut object = json!({
        "id": channel.id, "is_channel": !direct, "is_group": false, "is_im": direct, "is_mpim": false,
        "is_private": direct, "is_archived": channel.is_archived, "is_member": channel.has(&workspace.bot_user),
        "is_ext_shared": channel.is_ext_shared, "is_shared": channel.is_ext_shared, "is_org_shared": false,
        "context_team_id": workspace.team.id,
    });
    match direct {
        true => object["user"] = json!(channel.members.iter().find(|member| **member != workspace.bot_user)),
        false => object["name"] = json!(channel.name),
    }
    Ok(json!({ "channel": object }))
}

/// As in Slack: an active account of this workspace, whatever the case of its address.
fn person_by_address(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let address = text(a, "email");
    let holds = |person: &&super::workspace::Person| {
        let own = person.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(address));
        own && !person.deleted && person.team_id == workspace.team.id
    };
    let found = workspace.people.values().find(holds).ok_or(Refused::from("users_not_found"))?;
    Ok(json!({ "user": found.user_object() }))
}

fn group_users(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let group = workspace.groups.get(text(a, "usergroup")).ok_or(Refused::from("no_such_subteam"))?;
    Ok(json!({ "users": group.users }))
}

fn groups(workspace: &Workspace, a: &Arguments) -> Value {
    let with_users =
        matches!(a.get("include_users"), Some(Value::Bool(true))) || matches!(text(a, "include_users"), "true" | "1");
    let groups = workspace.groups.values().map(|group| {
        let mut object = json!({
            "id": group.id, "team_id": workspace.team.id, "is_usergroup": true, "name": group.name,
            "handle": group.handle, "description": "", "is_external": false, "date_delete": 0,
            "user_count": group.users.len(),
        });
        if with_users {
            object["users"] = json!(group.users);
        }
        object
    });
    json!({ "usergroups": groups.collect::<Vec<_>>() })
}

/// A text argument; absent is empty, which no id is.
fn text<'a>(a: &'a Arguments, name: &str) -> &'a str {
    a.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn hash(a: &Arguments) -> Option<&str> {
    a.get("hash").and_then(Value::as_str)
}

/// An argument that is JSON, or JSON in a text (as forms carry it).
fn structured(a: &Arguments, name: &str, wrong: &'static str) -> Result<Option<Value>, Refused> {
    match a.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| wrong.into()),
        Some(value) => Ok(Some(value.clone())),
    }
}

fn draft(a: &Arguments) -> Result<Draft, Refused> {
    let blocks = match structured(a, "blocks", "invalid_blocks_format")? {
        Some(given) => Some(blocks::message(given).map_err(|messages| Refused { code: "invalid_blocks", messages })?),
        None => None,
    };
    let metadata = structured(a, "metadata", "invalid_metadata_format")?;
    if metadata.as_ref().is_some_and(|held| !held["event_type"].is_string() || !held["event_payload"].is_object()) {
        return Err("invalid_metadata_schema".into());
    }
    let own = |name| a.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Draft { text: own("text"), blocks, thread_ts: own("thread_ts"), metadata })
}

fn view_argument(a: &Arguments) -> Result<Value, Refused> {
    let view = structured(a, "view", "invalid_arguments")?.ok_or(Refused::from("invalid_arguments"))?;
    blocks::view(view).map_err(|messages| Refused { code: "invalid_arguments", messages })
}
