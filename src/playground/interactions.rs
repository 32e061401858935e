//! What people press, as Slack tells the app. Built in Slack's shape and delivered; what people do with
//! forms is in [`super::forms`].
//!
//! Payloads: docs.slack.dev, reference/interaction-payloads. For the tests every payload can be
//! forged before it is signed: `override` is laid upon it, `remove` names JSON pointers to drop.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::entries::{element_state, filled};
use super::installs::{Place, Seat};
use super::workspace::{Channel, ChannelKind, Message, Person, Workspace};
use super::{Held, Playground};
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
    pub(super) fn is_none(&self) -> bool {
        self.over.is_none() && self.remove.is_empty()
    }

    pub(super) fn apply(&self, payload: &mut Value) {
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
    /// Whose app is meant, where several are installed.
    #[serde(default)]
    team: Option<String>,
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
    let built = playground.change(|state| block_actions(state, &click, now));
    let (seat, mut payload) = match built {
        Ok(built) => built,
        Err(why) => return Json(json!({ "delivered": false, "why": why })),
    };
    click.forgery.apply(&mut payload);
    let sent = playground.deliver_payload(seat, "block_actions", payload).await;
    Json(match sent {
        Ok(taken) => taken.report(),
        Err(why) => json!({ "delivered": false, "why": why }),
    })
}

fn block_actions(state: &mut Held, click: &Click, now: Timestamp) -> Result<(Seat, Value), String> {
    let channel = Some(click.channel.as_str()).filter(|id| !id.is_empty());
    let place = Place { person: &click.person, team: click.team.as_deref(), channel, view: click.view_id.as_deref() };
    let seat = state.installs.of(place);
    let workspace = &mut state.installs.at_mut(seat).workspace;
    let mut payload = envelope(workspace, &click.person, "block_actions")?;
    payload["trigger_id"] = json!(workspace.trigger(&click.person, now));
    let place = match &click.view_id {
        Some(id) => in_view(workspace, click, id)?,
        None => in_message(workspace, click)?,
    };
    super::merge(&mut payload, &place);
    let (holder, key) = match &click.view_id {
        Some(id) => (&payload["view"], id.clone()),
        None => (&place["message"], message_key(&click.channel, &click.ts)),
    };
    let action = action(&workspace.with_suggestions(&key, holder), click, now);
    payload["actions"] = json!([action]);
    if place["container"]["is_ephemeral"] == true
        && let Some(members) = payload.as_object_mut()
    {
        // Slack does not send the message back when it was ephemeral.
        members.remove("message");
    }
    if click.view_id.is_none() {
        payload["response_url"] = json!(state.response_url(seat, &click.channel, &click.person, now));
    }
    Ok((seat, payload))
}

/// Under which name the options are kept that a menu of a message was given.
pub(super) fn message_key(channel: &str, ts: &str) -> String {
    format!("{channel}/{ts}")
}

fn in_message(workspace: &Workspace, click: &Click) -> Result<Value, String> {
    let channel = workspace.channels.get(&click.channel).ok_or("there is no such channel")?;
    let message = workspace.message(&click.channel, &click.ts).ok_or("there is no such message")?;
    let seen = channel.has(&click.person) && message.visible_to(&click.person);
    if !seen && click.forgery.is_none() {
        return Err("this person does not see that message".to_owned());
    }
    let object = workspace.message_object(message);
    let values = filled(&workspace.with_suggestions(&message_key(&click.channel, &click.ts), &object), &click.values);
    Ok(json!({
        "container": container(channel, message), "channel": channel_object(channel), "message": object,
        "state": { "values": values },
    }))
}

pub(super) fn container(channel: &Channel, message: &Message) -> Value {
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
    let inputs = view["blocks"].as_array().into_iter().flatten().filter(|block| block["type"] == "input");
    let silent = |block: &Value| block["block_id"] == click.block_id.as_str() && block["dispatch_action"] != true;
    if inputs.into_iter().any(silent) && click.forgery.is_none() {
        return Err("that input sends nothing before its form does (no dispatch_action)".to_owned());
    }
    let values = filled(&workspace.with_suggestions(id, &view), &click.values);
    view["state"]["values"] = values;
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

/// An element of a view or message.
pub(super) fn element_of(holder: &Value, block_id: &str, action_id: &str) -> Option<Value> {
    let block = holder["blocks"].as_array()?.iter().find(|block| block["block_id"] == block_id)?;
    let held = block.get("accessory").into_iter().chain(block.get("element"));
    let mut all = held.chain(block["elements"].as_array().into_iter().flatten());
    all.find(|element| element["action_id"] == action_id).cloned()
}

/// What every interaction carries. For a partner's people the team is their own, not ours; where the
/// whole organization installed the app, there is none for our own people.
pub(super) fn envelope(workspace: &Workspace, person: &str, kind: &str) -> Result<Value, String> {
    let person: &Person = workspace.people.get(person).ok_or("there is no such person")?;
    let theirs = workspace.team_of(&person.team_id).ok_or("this person's workspace is not known")?;
    let own = workspace.owns_team(&person.team_id);
    let organization = workspace.organization.as_ref().filter(|_| own);
    let mut team = json!({ "id": theirs.id, "domain": theirs.domain });
    if let Some(organization) = organization {
        (team["enterprise_id"], team["enterprise_name"]) = (json!(organization.id), json!(organization.name));
    }
    if own && workspace.is_organization_wide() {
        team = Value::Null;
    }
    let enterprise = organization.map(|organization| json!({ "id": organization.id, "name": organization.name }));
    Ok(json!({
        "type": kind, "api_app_id": workspace.app_id, "token": LEGACY_TOKEN,
        "user": { "id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id },
        "team": team, "enterprise": enterprise, "is_enterprise_install": workspace.is_organization_wide(),
    }))
}
