//! What each method of the Web API does to an installation: authorized, paced, performed.

use serde_json::{Value, json};

use super::arguments::{Arguments, draft, hash, text, view};
use super::installs::Installation;
use super::records::{Message, Refused};
use super::workspace::Workspace;
use super::{directory, scopes};
use crate::clock::Timestamp;

/// Calls a method with the token of `install`: first whether it may, then whether it comes too soon,
/// then what it does.
///
/// # Errors
/// With Slack's error code.
pub fn call(install: &mut Installation, method: &str, a: &Arguments, now: Timestamp) -> Result<Value, Refused> {
    install.alive()?;
    if let Some(scope) = scopes::needed(method, install.workspace.channels.get(text(a, "channel"))) {
        if !install.scopes.contains(scope) {
            return Err(Refused { needed: Some(scope), ..Refused::from("missing_scope") });
        }
        install.used.insert(scope);
    }
    let too_soon = |wait| Refused { retry_after: Some(wait), ..Refused::from("ratelimited") };
    install.pace.call(method, text(a, "channel"), now).map_err(too_soon)?;
    perform(&mut install.workspace, method, a, now)
}

fn perform(workspace: &mut Workspace, method: &str, a: &Arguments, now: Timestamp) -> Result<Value, Refused> {
    match method {
        "auth.test" => Ok(directory::auth_test(workspace)),
        "team.info" => directory::team_info(workspace, a),
        "bots.info" => directory::bot_info(workspace, a),
        "users.info" => directory::user_info(workspace, a),
        "users.list" => directory::users(workspace, a),
        "users.lookupByEmail" => directory::user_by_address(workspace, a),
        "usergroups.users.list" => directory::group_users(workspace, a),
        "usergroups.list" => directory::groups(workspace, a),
        "conversations.info" => directory::conversation(workspace, a),
        "conversations.list" => directory::conversations(workspace, a),
        "conversations.members" => directory::members(workspace, a),
        "conversations.history" => directory::history(workspace, a, None),
        "conversations.replies" => directory::history(workspace, a, Some(text(a, "ts"))),
        "conversations.open" => open_conversation(workspace, a),
        "chat.postMessage" => post_message(workspace, a, now),
        "chat.update" => update_message(workspace, a),
        "chat.delete" => delete_message(workspace, a),
        "chat.postEphemeral" => post_ephemeral(workspace, a, now),
        "chat.getPermalink" => directory::permalink(workspace, a),
        "views.open" => {
            let view = view(a)?;
            Ok(json!({ "view": workspace.open_view(text(a, "trigger_id"), view, now)? }))
        }
        "views.push" => {
            let view = view(a)?;
            Ok(json!({ "view": workspace.push_with_trigger(text(a, "trigger_id"), view, now)? }))
        }
        "views.update" => {
            let view = view(a)?;
            let id = workspace.view_named(text(a, "view_id"), text(a, "external_id"))?;
            Ok(json!({ "view": workspace.update_view(&id, hash(a), view)? }))
        }
        "views.publish" => {
            let view = view(a)?;
            Ok(json!({ "view": workspace.publish_home(text(a, "user_id"), hash(a), view)? }))
        }
        _ => Err("unknown_method".into()),
    }
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

fn delete_message(workspace: &mut Workspace, a: &Arguments) -> Result<Value, Refused> {
    let (channel, ts, bot) = (text(a, "channel"), text(a, "ts"), workspace.bot_user.clone());
    workspace.delete(channel, ts, Some(&bot))?;
    Ok(json!({ "channel": channel, "ts": ts }))
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
