//! What people do besides clicks and forms: open the Home tab, type a slash command, write a message.
//! And for the tests anything at all.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::delivery::{Content, FORM, Parcel, Request};
use super::events::event_ts;
use super::installs::{Place, Seat};
use super::interactions::{Forgery, LEGACY_TOKEN, channel_object};
use super::workspace::{Draft, Workspace};
use super::{Held, Playground, responses};
use crate::clock::Timestamp;

/// Who opens the app, and which tab of it.
#[derive(Debug, Deserialize)]
pub struct HomeOpened {
    #[serde(rename = "as")]
    person: String,
    #[serde(default)]
    team: Option<String>,
    #[serde(default = "home")]
    tab: String,
}

fn home() -> String {
    "home".to_owned()
}

/// `POST /page/home`: somebody opens the Home tab; the app gets the event `app_home_opened`.
pub async fn open_home(State(playground): State<Playground>, Json(opened): Json<HomeOpened>) -> Json<Value> {
    let now = playground.now();
    let event = playground.read(|state| {
        let person = opened.person.as_str();
        let seat = state.installs.of(Place { person, team: opened.team.as_deref(), ..Place::default() });
        let workspace = &state.installs.at(seat).workspace;
        let person = workspace.people.get(person)?;
        let mut event = json!({
            "type": "app_home_opened", "user": person.id, "channel": person.direct_channel(), "tab": opened.tab,
            "event_ts": event_ts(now),
        });
        if let Some(home) = workspace.homes.get(&person.id).filter(|_| opened.tab == "home") {
            event["view"] = workspace.view_object(&person.id, home);
        }
        Some((seat, event))
    });
    let Some((seat, event)) = event else {
        return Json(json!({ "delivered": false, "why": "there is no such person" }));
    };
    Json(match playground.tell(seat, event).await {
        None => json!({ "delivered": false, "why": "the app did not subscribe to app_home_opened" }),
        Some(Ok(taken)) => taken.report(),
        Some(Err(why)) => json!({ "delivered": false, "why": why }),
    })
}

/// `POST /page/command`: somebody types a slash command in a channel.
#[derive(Debug, Deserialize)]
pub struct Command {
    #[serde(rename = "as")]
    person: String,
    #[serde(default)]
    team: Option<String>,
    channel: String,
    command: String,
    #[serde(default)]
    text: String,
    /// The message whose thread it is typed in: Slack refuses that.
    #[serde(default)]
    thread_ts: Option<String>,
    #[serde(flatten)]
    forgery: Forgery,
}

/// Sends the command; what the app answers is shown in the channel, to the person alone unless the
/// answer says `in_channel`.
pub async fn command(State(playground): State<Playground>, Json(typed): Json<Command>) -> Json<Value> {
    let now = playground.now();
    let refused = |why: String| Json(json!({ "delivered": false, "why": why }));
    let (seat, mut fields) = match playground.change(|state| command_fields(state, &typed, now)) {
        Ok(built) => built,
        Err(why) => return refused(why),
    };
    typed.forgery.apply(&mut fields);
    let Value::Object(fields) = fields else { return refused("a command is a form".to_owned()) };
    let parcel = Parcel { seat, kind: "command".to_owned(), content: Content::Command(fields), retry: None };
    let taken = match playground.deliver(parcel).await {
        Ok(taken) => taken,
        Err(why) => return refused(why),
    };
    if taken.status == 200 && !taken.body.trim().is_empty() {
        let shown = playground
            .change(|state| show_answer(&mut state.installs.at_mut(seat).workspace, &typed, &taken.body, now));
        if let Err(why) = shown {
            return refused(why);
        }
    }
    Json(taken.report())
}

fn command_fields(state: &mut Held, typed: &Command, now: Timestamp) -> Result<(Seat, Value), String> {
    let (team, channel) = (typed.team.as_deref(), Some(typed.channel.as_str()));
    let seat = state.installs.of(Place { person: &typed.person, team, channel, view: None });
    let workspace = &mut state.installs.at_mut(seat).workspace;
    let trigger = workspace.trigger(&typed.person, now);
    let person = workspace.people.get(&typed.person).ok_or("there is no such person")?;
    let channel = workspace.channels.get(&typed.channel).filter(|channel| channel.has(&person.id));
    let channel = channel.ok_or("this person does not see that channel")?;
    if !workspace.owns_team(&person.team_id) {
        return Err("only members of the workspace where the app is installed can use its commands".to_owned());
    }
    if typed.thread_ts.is_some() {
        return Err(format!("{} is not supported in threads. Sorry!", typed.command));
    }
    let team = workspace.team_of(&person.team_id).unwrap_or(&workspace.team);
    let mut fields = json!({
        "token": LEGACY_TOKEN, "team_id": team.id, "team_domain": team.domain, "channel_id": channel.id,
        "channel_name": channel_object(channel)["name"], "user_id": person.id, "user_name": person.name,
        "command": typed.command, "text": escaped(workspace, &typed.text), "api_app_id": workspace.app_id,
        "is_enterprise_install": workspace.is_organization_wide().to_string(), "trigger_id": trigger,
    });
    if let Some(organization) = &workspace.organization {
        (fields["enterprise_id"], fields["enterprise_name"]) = (json!(organization.id), json!(organization.name));
    }
    fields["response_url"] = json!(state.response_url(seat, &typed.channel, &typed.person, now));
    Ok((seat, fields))
}

/// What was typed as the app gets it (`should_escape`): the three characters of Slack's markup written
/// out, and names of people and channels as ids.
fn escaped(workspace: &Workspace, typed: &str) -> String {
    let plain = typed.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let word = |word: &str| -> Option<String> {
        let bare = word.get(1..)?;
        match word.get(..1)? {
            "@" => {
                let person = workspace.people.values().find(|person| person.name == bare);
                let group = workspace.groups.values().find(|group| group.handle == bare);
                let person = person.map(|person| format!("<@{}|{}>", person.id, person.name));
                person.or_else(|| group.map(|group| format!("<!subteam^{}|@{}>", group.id, group.handle)))
            }
            "#" => {
                let channel = workspace.channels.values().find(|channel| channel.name == bare)?;
                Some(format!("<#{}|{}>", channel.id, channel.name))
            }
            _ => None,
        }
    };
    let words = plain.split(' ').map(|one| word(one).unwrap_or_else(|| one.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

fn show_answer(workspace: &mut Workspace, typed: &Command, body: &str, now: Timestamp) -> Result<(), String> {
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({ "text": body }));
    responses::show(workspace, &typed.channel, &typed.person, &answer, now)
}

/// `POST /page/say`: somebody writes a message, or a reply beneath one.
#[derive(Debug, Deserialize)]
pub struct Said {
    #[serde(rename = "as")]
    person: String,
    channel: String,
    text: String,
    #[serde(default)]
    thread_ts: Option<String>,
}

/// Shows it in the channel. The app is told of no messages: it asked for none.
pub async fn say(State(playground): State<Playground>, Json(said): Json<Said>) -> Response {
    let now = playground.now();
    let done = playground.change(|state| {
        let place = Place { person: &said.person, channel: Some(&said.channel), ..Place::default() };
        let seat = state.installs.of(place);
        let draft = Draft { text: Some(said.text.clone()), thread_ts: said.thread_ts.clone(), ..Draft::default() };
        state.installs.at_mut(seat).workspace.say(&said.person, &said.channel, draft, now)
    });
    match done {
        Ok(message) => Json(json!({ "ts": message.ts })).into_response(),
        Err(refused) => super::page::refusal(StatusCode::BAD_REQUEST, refused.code),
    }
}

/// `POST /page/raw`: anything at all, signed unless it says otherwise. A `timestamp` or `signature` of
/// null leaves that header out.
#[derive(Debug, Deserialize)]
pub struct Raw {
    /// Whose signing secret signs it, where several are installed.
    #[serde(default)]
    team: Option<String>,
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
    let seat = playground.read(|state| state.installs.of(Place { team: raw.team.as_deref(), ..Place::default() }));
    let signature = match raw.signature {
        Some(given) => header(given),
        None => Some(playground.signature(seat, timestamp.as_deref().unwrap_or(&now), raw.body.as_bytes())),
    };
    let content = raw.content_type.as_deref().unwrap_or(FORM);
    let request = Request { path: &raw.path, content, body: raw.body, timestamp, signature, retry: None };
    match playground.send(request).await {
        Ok(taken) => Json(json!({ "status": taken.status, "body": taken.body })).into_response(),
        Err(why) => super::page::refusal(StatusCode::BAD_GATEWAY, &why),
    }
}
