//! Slack's doors: nothing is parsed before its signature holds.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{Doors, body, into_response};
use crate::door::Rendered;
use crate::service::{CommandAnswer, Error, FormAnswer, Service};
use crate::slack::click::{Event, Interaction};
use crate::slack::forms;
use crate::slack::signature;

/// Slack shows an error after three seconds; before that the person is told to try again.
const DEADLINE: Duration = Duration::from_millis(2_700);

/// `POST /slack/interactions`: answered after the commit, never before.
pub async fn interactions(State(doors): State<Doors>, request: Request) -> Response {
    let body = match signed(&doors, request).await {
        Ok(body) => body,
        Err(rendered) => return into_response(rendered),
    };
    let interaction = match Interaction::parse(&body) {
        Ok(interaction) => interaction,
        Err(error) => {
            metrics::counter!("countersign_clicks_refused_total", "why" => "not_understood").increment(1);
            tracing::warn!(%error, "a signed interaction is not understood");
            return into_response(Rendered::problem(400, "about:blank", "Bad Request", "It is not understood."));
        }
    };
    let service = doors.service.clone();
    // In a task of its own: Slack hanging up must not leave a click half checked.
    let work = tokio::spawn(async move { interaction_answer(&service, interaction).await });
    into_response(in_time(work).await)
}

/// What an interaction is answered, after the commit.
async fn interaction_answer(service: &Service, interaction: Interaction) -> Result<Rendered, Error> {
    match interaction {
        Interaction::Pressed(press) => Box::pin(service.pressed(&press)).await.map(|()| Rendered::empty(200)),
        Interaction::Submitted(form) => Box::pin(service.submitted(&form)).await.map(form_answer),
        Interaction::Suggested(search) => {
            Box::pin(service.suggested(&search)).await.map(|options| Rendered::json(200, &options))
        }
        Interaction::Closed | Interaction::Other(_) => Ok(Rendered::empty(200)),
    }
}

async fn in_time(work: tokio::task::JoinHandle<Result<Rendered, Error>>) -> Rendered {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(Ok(rendered))) => rendered,
        Ok(Ok(Err(error))) => failed(&error),
        Ok(Err(_)) | Err(_) => Rendered::problem(503, "about:blank", "Service Unavailable", "It took too long."),
    }
}

fn form_answer(answer: FormAnswer) -> Rendered {
    match answer {
        FormAnswer::Close => Rendered::empty(200),
        FormAnswer::Say(words) => {
            Rendered::json(200, &json!({ "response_action": "update", "view": forms::stale_view(&words) }))
        }
        FormAnswer::Errors(all) => {
            let errors: serde_json::Map<String, serde_json::Value> =
                all.into_iter().map(|(block, says)| (block, json!(says))).collect();
            Rendered::json(200, &json!({ "response_action": "errors", "errors": errors }))
        }
        FormAnswer::Show(view) => Rendered::json(200, &json!({ "response_action": "update", "view": view })),
    }
}

fn failed(error: &Error) -> Rendered {
    tracing::error!(%error, "a click could not be recorded");
    Rendered::problem(503, "about:blank", "Service Unavailable", error.shown())
}

/// `POST /slack/commands`
pub async fn commands(State(doors): State<Doors>, request: Request) -> Response {
    let body = match signed(&doors, request).await {
        Ok(body) => body,
        Err(rendered) => return into_response(rendered),
    };
    let command = crate::slack::click::Command::parse(&body);
    if command.ssl_check {
        return into_response(Rendered::empty(200));
    }
    let service = doors.service.clone();
    let work = tokio::spawn(async move { Box::pin(service.command(&command)).await.map(command_answer) });
    into_response(in_time(work).await)
}

/// What a command is answered: only whoever typed it sees that.
fn command_answer(answer: CommandAnswer) -> Rendered {
    match answer {
        CommandAnswer::Nothing => Rendered::empty(200),
        CommandAnswer::Say(message) => Rendered::json(
            200,
            &json!({ "response_type": "ephemeral", "text": message.text, "blocks": message.blocks }),
        ),
    }
}

/// `POST /slack/events`
pub async fn events(State(doors): State<Doors>, request: Request) -> Response {
    let body = match signed(&doors, request).await {
        Ok(body) => body,
        Err(rendered) => return into_response(rendered),
    };
    into_response(match Event::parse(&body) {
        Ok(Event::Challenge(challenge)) => Rendered::json(200, &json!({ "challenge": challenge })),
        Ok(Event::Happened { kind, user: Some(user), team, app, .. }) => {
            let service = doors.service.clone();
            let (our_app, our_team) = service.slack_installation();
            let ours = app.as_deref() == Some(our_app) && team.as_deref() == Some(our_team);
            let work = match kind.as_str() {
                "app_home_opened" if ours => tokio::spawn({
                    let service = service.clone();
                    async move { Box::pin(service.home_opened(&user)).await.map(|()| Rendered::empty(200)) }
                }),
                "user_change" if ours => tokio::spawn({
                    let service = service.clone();
                    async move { Box::pin(service.account_changed(&user)).await.map(|()| Rendered::empty(200)) }
                }),
                _ => return into_response(Rendered::empty(200)),
            };
            in_time(work).await
        }
        Ok(_) => Rendered::empty(200),
        Err(_) => Rendered::problem(400, "about:blank", "Bad Request", "It is not understood."),
    })
}

async fn signed(doors: &Doors, request: Request) -> Result<Bytes, Rendered> {
    let (parts, body) = body::read(request).await?;
    match signature::verify(&doors.signing_secrets, &parts.headers, &body, doors.service.wall_clock()) {
        Ok(()) => Ok(body),
        Err(why) => {
            metrics::counter!("countersign_unauthenticated_total", "door" => "slack").increment(1);
            tracing::debug!(why = why.as_str(), "a call to a Slack door is not signed by Slack");
            Err(Rendered::unauthenticated())
        }
    }
}
