//! What people do with forms: sending, closing, searching in a menu whose options the app knows. The
//! app's answer takes effect on the person's screen.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entries::{complaints, filled};
use super::installs::{Place, Seat};
use super::interactions::{Forgery, envelope};
use super::workspace::Workspace;
use super::{Held, Playground, blocks};
use crate::clock::Timestamp;

/// `POST /page/submit`: somebody sends a form.
#[derive(Debug, Deserialize)]
pub struct Submission {
    #[serde(rename = "as")]
    person: String,
    #[serde(default)]
    team: Option<String>,
    view_id: String,
    #[serde(default)]
    values: Value,
    #[serde(flatten)]
    forgery: Forgery,
}

/// Sends the form, unless Slack's own form would complain first. Answers what became of it.
pub async fn submit(State(playground): State<Playground>, Json(form): Json<Submission>) -> Json<Value> {
    let now = playground.now();
    let (seat, built) = playground.change(|state| {
        let seat = seat_of(state, &form.person, form.team.as_deref(), &form.view_id);
        (seat, view_submission(&mut state.installs.at_mut(seat).workspace, &form, now))
    });
    let mut payload = match built {
        Ok(Ok(payload)) => payload,
        Ok(Err(errors)) => return Json(json!({ "delivered": false, "status": 0, "errors": errors })),
        Err(why) => return Json(json!({ "delivered": false, "status": 0, "why": why })),
    };
    form.forgery.apply(&mut payload);
    let taken = match playground.deliver_payload(seat, "view_submission", payload).await {
        Ok(taken) => taken,
        Err(why) => return Json(json!({ "delivered": false, "status": 0, "why": why })),
    };
    let mut report = taken.report();
    if taken.status == 200 {
        let settled = playground.change(|state| {
            settle(&mut state.installs.at_mut(seat).workspace, &form.person, &form.view_id, &taken.body)
        });
        match settled {
            Ok(errors) if errors.is_empty() => {}
            Ok(errors) => report["errors"] = Value::Object(errors),
            Err(why) => report["why"] = json!(why),
        }
    }
    Json(report)
}

fn seat_of(state: &Held, person: &str, team: Option<&str>, view: &str) -> Seat {
    state.installs.of(Place { person, team, view: Some(view), channel: None })
}

/// The payload of a form, or by block id what is missing in it.
type Filled = Result<Value, Map<String, Value>>;

fn view_submission(workspace: &mut Workspace, form: &Submission, now: Timestamp) -> Result<Filled, String> {
    let mut payload = envelope(workspace, &form.person, "view_submission")?;
    let open = workspace.view_of(&form.person, &form.view_id).ok_or("that form is not open")?;
    let mut view = workspace.view_object(&form.person, open);
    let values = filled(&workspace.with_suggestions(&form.view_id, &view), &form.values);
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
    #[serde(default)]
    team: Option<String>,
    view_id: String,
    #[serde(default)]
    clear: bool,
}

/// Closes the form; the app is told only if its view asked for that with `notify_on_close`.
pub async fn close(State(playground): State<Playground>, Json(closing): Json<Closing>) -> StatusCode {
    let told = playground.change(|state| {
        let seat = seat_of(state, &closing.person, closing.team.as_deref(), &closing.view_id);
        let workspace = &mut state.installs.at_mut(seat).workspace;
        let mut payload = envelope(workspace, &closing.person, "view_closed").ok()?;
        let open = workspace.view_of(&closing.person, &closing.view_id)?;
        let told = if closing.clear { workspace.view_of(&closing.person, &open.root)? } else { open };
        payload["view"] = workspace.view_object(&closing.person, told);
        payload["is_cleared"] = json!(closing.clear);
        workspace.close_views(&closing.person, closing.clear);
        Some((seat, payload))
    });
    if let Some((seat, payload)) = told.filter(|(_, payload)| payload["view"]["notify_on_close"] == true) {
        // Slack shows nobody whether the app took it, so its answer is of no use here.
        drop(playground.deliver_payload(seat, "view_closed", payload).await);
    }
    StatusCode::NO_CONTENT
}
