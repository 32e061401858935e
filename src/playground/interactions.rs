//! What people do, as Slack tells the app: clicks, filled forms, closed forms. Built in Slack's shape,
//! signed, sent; the answer takes effect on the person's screen.
//!
//! Payloads: docs.slack.dev, reference/interaction-payloads. For the tests every payload can be
//! forged before it is signed: `override` is laid upon it, `remove` names JSON pointers to drop.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::views::{complaints, element_state, filled};
use super::workspace::{Channel, ChannelKind, Message, Person, Workspace};
use super::{Playground, blocks};
use crate::clock::Timestamp;

/// Slack still sends the verification token of old apps; it proves nothing.
pub(super) const LEGACY_TOKEN: &str = "the-legacy-token-that-nobody-may-trust";

/// How a test forges a payload before it is signed.
#[derive(Debug, Default, Deserialize)]
pub struct Forgery {
    #[serde(default, rename = "override")]
    over: Option<Value>,
    #[serde(default)]
    remove: Vec<String>,
}

impl Forgery {
    fn is_none(&self) -> bool {
        self.over.is_none() && self.remove.is_empty()
    }

    fn apply(&self, payload: &mut Value) {
        if let Some(over) = &self.over {
            super::merge(payload, over);
        }
        for pointer in &self.remove {
            let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
            match payload.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(name)),
                Some(Value::Array(list)) => {
                    if let Some(at) = name.parse().ok().filter(|at| *at < list.len()) {
                        list.remove(at);
                    }
                }
                _ => {}
            }
        }
    }
}

/// `POST /page/click`: somebody presses a button, or chooses from a menu, of a message (`channel` and
/// `ts`) or of a view (`view_id`).
#[derive(Debug, Deserialize)]
pub struct Click {
    #[serde(rename = "as")]
    person: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    view_id: Option<String>,
    block_id: String,
    action_id: String,
    #[serde(default)]
    value: Option<Value>,
    /// What a form holds while its button is pressed.
    #[serde(default)]
    values: Value,
    #[serde(flatten)]
    forgery: Forgery,
}

/// Sends the click. Answers whether and how the app took it.
pub async fn click(State(playground): State<Playground>, Json(click): Json<Click>) -> Json<Value> {
    let now = playground.now();
    let built = playground.change(|state| block_actions(&mut state.workspace, &click, now));
    let mut payload = match built {
        Ok(payload) => payload,
        Err(why) => return Json(json!({ "delivered": false, "why": why })),
    };
    click.forgery.apply(&mut payload);
    let sent = playground.deliver_payload("block_actions", &payload).await;
    Json(match sent {
        Ok(taken) => taken.report(),
        Err(why) => json!({ "delivered": false, "why": why }),
    })
}

fn block_actions(workspace: &mut Workspace, click: &Click, now: Timestamp) -> Result<Value, String> {
    let mut payload = envelope(workspace, &click.person, "block_actions")?;
    payload["trigger_id"] = json!(workspace.trigger(&click.person, now));
    let place = match &click.view_id {
        Some(id) => in_view(workspace, click, id)?,
        None => in_message(workspace, click)?,
    };
    super::merge(&mut payload, &place);
    let holder = if click.view_id.is_some() { &payload["view"] } else { &place["message"] };
    let action = action(holder, click, now);
    payload["actions"] = json!([action]);
    if place["container"]["is_ephemeral"] == true
        && let Some(members) = payload.as_object_mut()
    {
        // Slack does not send the message back when it was ephemeral.
        members.remove("message");
    }
    Ok(payload)
}

fn in_message(workspace: &Workspace, click: &Click) -> Result<Value, String> {
    let channel = workspace.channels.get(&click.channel).ok_or("there is no such channel")?;
    let message = workspace.message(&click.channel, &click.ts).ok_or("there is no such message")?;
    let seen = channel.has(&click.person) && message.visible_to(&click.person);
    if !seen && click.forgery.is_none() {
        return Err("this person does not see that message".to_owned());
    }
    Ok(json!({
        "container": container(channel, message), "channel": channel_object(channel),
        "message": workspace.message_object(message), "state": { "values": {} },
    }))
}

fn container(channel: &Channel, message: &Message) -> Value {
    let mut container = json!({
        "type": "message", "message_ts": message.ts, "channel_id": channel.id,
        "is_ephemeral": message.only_for.is_some(),
    });
    if let Some(thread) = &message.thread_ts {
        container["thread_ts"] = json!(thread);
    }
    container
}

/// A conversation as interactions name it.
pub(super) fn channel_object(channel: &Channel) -> Value {
    let name = match channel.kind {
        ChannelKind::Channel => channel.name.as_str(),
        ChannelKind::Dm => "directmessage",
    };
    json!({ "id": channel.id, "name": name })
}

fn in_view(workspace: &Workspace, click: &Click, id: &str) -> Result<Value, String> {
    let open = workspace.view_of(&click.person, id).ok_or("that view is not open")?;
    let mut view = workspace.view_object(&click.person, open);
    view["state"]["values"] = filled(&view, &click.values);
    Ok(json!({ "container": { "type": "view", "view_id": id }, "view": view }))
}

/// The action: ids and value as the click gives them (so that they can be tampered with), the rest
/// from the element.
fn action(holder: &Value, click: &Click, now: Timestamp) -> Value {
    let element = element_of(holder, &click.block_id, &click.action_id).unwrap_or(json!({ "type": "button" }));
    let micros = now.timestamp_micros();
    let mut action = json!({
        "type": element["type"], "action_id": click.action_id, "block_id": click.block_id,
        "action_ts": format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
    });
    if let Some(state) = element_state(&element, click.value.as_ref()) {
        super::merge(&mut action, &state);
        return action;
    }
    for name in ["text", "style", "value"] {
        if let Some(given) = element.get(name) {
            action[name] = given.clone();
        }
    }
    if let Some(value) = &click.value {
        action["value"] = value.clone();
    }
    action
}

fn element_of(holder: &Value, block_id: &str, action_id: &str) -> Option<Value> {
    let block = holder["blocks"].as_array()?.iter().find(|block| block["block_id"] == block_id)?;
    let held = block.get("accessory").into_iter().chain(block.get("element"));
    let mut all = held.chain(block["elements"].as_array().into_iter().flatten());
    all.find(|element| element["action_id"] == action_id).cloned()
}

/// What every interaction carries. For a partner's people the team is their own, not ours.
fn envelope(workspace: &Workspace, person: &str, kind: &str) -> Result<Value, String> {
    let person: &Person = workspace.people.get(person).ok_or("there is no such person")?;
    let team = workspace.team_of(&person.team_id).ok_or("this person's workspace is not known")?;
    Ok(json!({
        "type": kind, "api_app_id": workspace.app_id, "token": LEGACY_TOKEN,
        "user": { "id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id },
        "team": { "id": team.id, "domain": team.domain }, "enterprise": null, "is_enterprise_install": false,
    }))
}

/// `POST /page/submit`: somebody sends a form.
#[derive(Debug, Deserialize)]
pub struct Submission {
    #[serde(rename = "as")]
    person: String,
    view_id: String,
    #[serde(default)]
    values: Value,
    #[serde(flatten)]
    forgery: Forgery,
}

/// Sends the form, unless Slack's own form would complain first. Answers what became of it.
pub async fn submit(State(playground): State<Playground>, Json(form): Json<Submission>) -> Json<Value> {
    let now = playground.now();
    let built = playground.change(|state| view_submission(&mut state.workspace, &form, now));
    let mut payload = match built {
        Ok(Ok(payload)) => payload,
        Ok(Err(errors)) => return Json(json!({ "delivered": false, "status": 0, "errors": errors })),
        Err(why) => return Json(json!({ "delivered": false, "status": 0, "why": why })),
    };
    form.forgery.apply(&mut payload);
    let taken = match playground.deliver_payload("view_submission", &payload).await {
        Ok(taken) => taken,
        Err(why) => return Json(json!({ "delivered": false, "status": 0, "why": why })),
    };
    let mut report = taken.report();
    if taken.status == 200 {
        match playground.change(|state| settle(&mut state.workspace, &form.person, &form.view_id, &taken.body)) {
            Ok(errors) if errors.is_empty() => {}
            Ok(errors) => report["errors"] = Value::Object(errors),
            Err(why) => report["why"] = json!(why),
        }
    }
    Json(report)
}

/// The payload of a form, or by block id what is missing in it.
type Filled = Result<Value, Map<String, Value>>;

fn view_submission(workspace: &mut Workspace, form: &Submission, now: Timestamp) -> Result<Filled, String> {
    let mut payload = envelope(workspace, &form.person, "view_submission")?;
    let open = workspace.view_of(&form.person, &form.view_id).ok_or("that form is not open")?;
    let mut view = workspace.view_object(&form.person, open);
    let values = filled(&view, &form.values);
    let missing = complaints(&view, &values);
    if !missing.is_empty() && form.forgery.is_none() {
        workspace.mark_errors(&form.person, &form.view_id, missing.clone());
        return Ok(Err(missing));
    }
    view["state"]["values"] = values;
    payload["trigger_id"] = json!(workspace.trigger(&form.person, now));
    payload["view"] = view;
    payload["response_urls"] = json!([]);
    Ok(Ok(payload))
}

/// What the app's answer does to the form. Answers the errors it put beside the fields.
fn settle(workspace: &mut Workspace, person: &str, view_id: &str, body: &str) -> Result<Map<String, Value>, String> {
    let trouble = |what: &str| format!("We had some trouble connecting. Try again? ({what})");
    let answer: Value = match body.trim() {
        "" => json!({}),
        body => serde_json::from_str(body).map_err(|_| trouble("the app's answer is not JSON"))?,
    };
    if !answer.is_object() {
        return Err(trouble("the app's answer is not an object"));
    }
    let view = || blocks::view(answer["view"].clone()).map_err(|found| trouble(&found.join("; ")));
    match answer["response_action"].as_str() {
        None => workspace.close_views(person, false),
        Some("clear") => workspace.close_views(person, true),
        Some("update") => {
            workspace.update_view(view_id, None, view()?).map_err(|refused| trouble(refused.code))?;
        }
        Some("push") => {
            workspace.push_view(person, view()?).map_err(|refused| trouble(refused.code))?;
        }
        Some("errors") => {
            let errors = answer["errors"].as_object().filter(|errors| !errors.is_empty());
            let errors = errors.ok_or_else(|| trouble("errors without a block"))?.clone();
            workspace.mark_errors(person, view_id, errors.clone());
            return Ok(errors);
        }
        Some(_) => return Err(trouble("unknown response_action")),
    }
    Ok(Map::new())
}

/// `POST /page/close`: somebody closes the top form, or with `clear` (the X) all of them.
#[derive(Debug, Deserialize)]
pub struct Closing {
    #[serde(rename = "as")]
    person: String,
    view_id: String,
    #[serde(default)]
    clear: bool,
}

/// Closes the form; the app is told only if its view asked for that with `notify_on_close`.
pub async fn close(State(playground): State<Playground>, Json(closing): Json<Closing>) -> StatusCode {
    let payload = playground.change(|state| {
        let workspace = &mut state.workspace;
        let mut payload = envelope(workspace, &closing.person, "view_closed").ok()?;
        let open = workspace.view_of(&closing.person, &closing.view_id)?;
        let told = if closing.clear { workspace.view_of(&closing.person, &open.root)? } else { open };
        payload["view"] = workspace.view_object(&closing.person, told);
        payload["is_cleared"] = json!(closing.clear);
        workspace.close_views(&closing.person, closing.clear);
        Some(payload)
    });
    if let Some(payload) = payload.filter(|payload| payload["view"]["notify_on_close"] == true) {
        // Slack shows nobody whether the app took it, so its answer is of no use here.
        drop(playground.deliver_payload("view_closed", &payload).await);
    }
    StatusCode::NO_CONTENT
}
