//! Menus whose options the app knows (`external_select`): what somebody types there is sent as a
//! `block_suggestion`, and the options that come back are checked as Slack checks them.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::elements::suggested_options;
use super::entries::is_external;
use super::installs::{Place, Seat};
use super::interactions::{Forgery, channel_object, container, element_of, envelope, message_key};
use super::{Held, Playground};

/// How many characters somebody types before the app is asked, unless the menu says.
const QUERY_CHARS_MIN: u64 = 3;

/// `POST /page/suggest`: somebody types into a menu of a view or of a message.
#[derive(Debug, Deserialize)]
pub struct Search {
    #[serde(rename = "as")]
    person: String,
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
    /// What was typed.
    #[serde(default)]
    value: String,
    #[serde(flatten)]
    forgery: Forgery,
}

/// Asks the app; answers its options, or why there are none.
pub async fn suggest(State(playground): State<Playground>, Json(search): Json<Search>) -> Json<Value> {
    let refused = |why: String| Json(json!({ "delivered": false, "why": why }));
    let (seat, mut payload) = match playground.read(|state| block_suggestion(state, &search)) {
        Ok(built) => built,
        Err(why) => return refused(why),
    };
    search.forgery.apply(&mut payload);
    let taken = match playground.deliver_payload(seat, "block_suggestion", payload).await {
        Ok(taken) => taken,
        Err(why) => return refused(why),
    };
    let mut report = taken.report();
    if taken.status != 200 {
        return Json(report);
    }
    match suggested_options(&serde_json::from_str(&taken.body).unwrap_or_default()) {
        Ok(answer) => {
            let holder = search.view_id.clone().unwrap_or_else(|| message_key(&search.channel, &search.ts));
            let options = all_options(&answer);
            playground.change(|state| {
                let workspace = &mut state.installs.at_mut(seat).workspace;
                workspace.suggest(&holder, &search.block_id, &search.action_id, options);
            });
            super::merge(&mut report, &answer);
        }
        Err(found) => report["why"] = json!(format!("The options are not usable: {}", found.join("; "))),
    }
    Json(report)
}

fn all_options(answer: &Value) -> Vec<Value> {
    let plain = answer["options"].as_array().into_iter().flatten();
    let groups = answer["option_groups"].as_array().into_iter().flatten();
    plain.chain(groups.flat_map(|group| group["options"].as_array().into_iter().flatten())).cloned().collect()
}

fn block_suggestion(state: &Held, search: &Search) -> Result<(Seat, Value), String> {
    let channel = Some(search.channel.as_str()).filter(|id| !id.is_empty());
    let (team, view) = (search.team.as_deref(), search.view_id.as_deref());
    let seat = state.installs.of(Place { person: &search.person, team, channel, view });
    let workspace = &state.installs.at(seat).workspace;
    let mut payload = envelope(workspace, &search.person, "block_suggestion")?;
    let place = match &search.view_id {
        Some(id) => {
            let open = workspace.view_of(&search.person, id).ok_or("that view is not open")?;
            let view = workspace.view_object(&search.person, open);
            json!({ "container": { "type": "view", "view_id": id }, "view": view })
        }
        None => {
            let channel = workspace.channels.get(&search.channel).ok_or("there is no such channel")?;
            let message = workspace.message(&search.channel, &search.ts).ok_or("there is no such message")?;
            json!({
                "container": container(channel, message), "channel": channel_object(channel),
                "message": workspace.message_object(message),
            })
        }
    };
    let holder = if search.view_id.is_some() { &place["view"] } else { &place["message"] };
    let menu = element_of(holder, &search.block_id, &search.action_id).filter(is_external);
    let menu = menu.ok_or("there is no menu there that asks the app")?;
    let least = menu["min_query_length"].as_u64().unwrap_or(QUERY_CHARS_MIN);
    if (search.value.chars().count() as u64) < least && search.forgery.is_none() {
        return Err(format!("the app is asked only after {least} characters"));
    }
    super::merge(&mut payload, &place);
    let asked = json!({ "action_id": search.action_id, "block_id": search.block_id, "value": search.value });
    super::merge(&mut payload, &asked);
    Ok((seat, payload))
}
