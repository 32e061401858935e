//! Slack's doors: nothing is parsed before its signature holds.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;

use super::{Doors, body, into_response};
use crate::door::Rendered;
use crate::service::{Error, Through};
use crate::slack::click::{Command, Event, Interaction};
use crate::slack::signature;
use crate::slack::socket::Inbound;

/// Slack shows an error after three seconds; before that the person is told to try again.
const DEADLINE: Duration = Duration::from_millis(2_700);

/// `POST /slack/interactions`: answered after the commit, never before.
pub async fn interactions(State(doors): State<Doors>, request: Request) -> Response {
    let (body, through) = match signed(&doors, request).await {
        Ok(signed) => signed,
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
    taken(&doors, Inbound::Interaction(interaction), through).await
}

/// Lets the service take it, and answers after the commit.
async fn taken(doors: &Doors, inbound: Inbound, through: Through) -> Response {
    let service = doors.service.clone();
    // In a task of its own: Slack hanging up must not leave a click half checked.
    let work = tokio::spawn(async move { service.take(inbound, &through).await });
    into_response(match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(Ok(Some(answer)))) => Rendered::json(200, &answer),
        Ok(Ok(Ok(None))) => Rendered::empty(200),
        Ok(Ok(Err(error))) => failed(&error),
        Ok(Err(_)) | Err(_) => Rendered::problem(503, "about:blank", "Service Unavailable", "It took too long."),
    })
}

fn failed(error: &Error) -> Rendered {
    tracing::error!(%error, "what Slack sent could not be recorded");
    Rendered::problem(503, "about:blank", "Service Unavailable", error.shown())
}

/// `POST /slack/commands`
pub async fn commands(State(doors): State<Doors>, request: Request) -> Response {
    match signed(&doors, request).await {
        Ok((body, through)) => taken(&doors, Inbound::Command(Command::parse(&body)), through).await,
        Err(rendered) => into_response(rendered),
    }
}

/// `POST /slack/events`
pub async fn events(State(doors): State<Doors>, request: Request) -> Response {
    let (body, through) = match signed(&doors, request).await {
        Ok(signed) => signed,
        Err(rendered) => return into_response(rendered),
    };
    match Event::parse(&body) {
        Ok(event) => taken(&doors, Inbound::Event(event), through).await,
        Err(_) => into_response(Rendered::problem(400, "about:blank", "Bad Request", "It is not understood.")),
    }
}

/// The body, with the workspaces whose secret signed it: what it says counts for none but those.
async fn signed(doors: &Doors, request: Request) -> Result<(Bytes, Through), Rendered> {
    let (parts, body) = body::read(request).await?;
    let holders = doors.signing_secrets.iter().map(|(team, secrets)| (team.clone(), secrets.as_slice()));
    match signature::signers(holders, &parts.headers, &body, doors.service.wall_clock()) {
        Ok(teams) => Ok((body, Through::signed_for(teams))),
        Err(why) => {
            metrics::counter!("countersign_unauthenticated_total", "door" => "slack").increment(1);
            tracing::debug!(why = why.as_str(), "a call to a Slack door is not signed by Slack");
            Err(Rendered::unauthenticated())
        }
    }
}
