//! `response_url`: the addresses that Slack hands out with clicks and commands. Each works five times
//! within half an hour (docs.slack.dev, handling-user-interaction). The stand-in writes down every use,
//! so that a test can say that there was none.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::blocks;
use super::installs::Seat;
use super::records::Draft;
use super::{Held, Playground};
use crate::clock::Timestamp;

/// How long an address works.
const LASTS: Duration = Duration::from_secs(30 * 60);

/// How often it works.
const USES_MAX: u32 = 5;

/// How many addresses are remembered.
const ADDRESSES_MAX: usize = 500;

/// One address.
#[derive(Debug)]
pub struct Address {
    secret: String,
    seat: Seat,
    channel: String,
    person: String,
    made: Timestamp,
    uses: u32,
}

/// The addresses that were handed out, oldest first.
#[derive(Debug, Default)]
pub struct Addresses {
    held: VecDeque<Address>,
    used: u64,
}

impl Held {
    /// A new address for what `person` did in a channel.
    pub(super) fn response_url(&mut self, seat: Seat, channel: &str, person: &str, now: Timestamp) -> String {
        let secret = format!("{}{}", super::random_hex(), super::random_hex());
        let url = format!("{}/response/{}/{secret}", self.own_url, self.installs.at(seat).workspace.team.id);
        if self.responses.held.len() >= ADDRESSES_MAX {
            self.responses.held.pop_front();
        }
        let (channel, person) = (channel.to_owned(), person.to_owned());
        self.responses.held.push_back(Address { secret, seat, channel, person, made: now, uses: 0 });
        url
    }
}

/// `POST /response/{team}/{secret}`: what the app says there is shown to the person, or to all.
pub async fn respond(
    State(playground): State<Playground>,
    Path((_, secret)): Path<(String, String)>,
    Json(said): Json<Value>,
) -> Response {
    let now = playground.now();
    match playground.change(|state| use_address(state, &secret, &said, now)) {
        Ok(()) => "ok".into_response(),
        Err((status, why)) => (status, Json(json!({ "ok": false, "error": why }))).into_response(),
    }
}

fn use_address(state: &mut Held, secret: &str, said: &Value, now: Timestamp) -> Result<(), (StatusCode, String)> {
    state.responses.used += 1;
    let gone = (StatusCode::NOT_FOUND, "used_url".to_owned());
    let address = state.responses.held.iter_mut().find(|held| held.secret == secret).ok_or(gone.clone())?;
    let age = now.signed_duration_since(address.made).to_std().unwrap_or(Duration::ZERO);
    if age > LASTS || address.uses >= USES_MAX {
        return Err(gone);
    }
    address.uses += 1;
    let (seat, channel, person) = (address.seat, address.channel.clone(), address.person.clone());
    let workspace = &mut state.installs.at_mut(seat).workspace;
    show(workspace, &channel, &person, said, now).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

/// Shows what the app answered: to the person alone unless it says `in_channel`. The posting rules of
/// the channel do not count here; its existence does.
pub(super) fn show(
    workspace: &mut super::Workspace,
    channel: &str,
    person: &str,
    said: &Value,
    now: Timestamp,
) -> Result<(), String> {
    let given = said.get("blocks").filter(|blocks| !blocks.is_null()).cloned();
    let blocks = given.map(blocks::message).transpose().map_err(|found| found.join("; "))?;
    let text = said["text"].as_str().map(str::to_owned);
    if text.is_none() && blocks.is_none() {
        return Ok(());
    }
    let draft = Draft { text, blocks, ..Draft::default() };
    let only_for = (said["response_type"] != "in_channel").then(|| person.to_owned());
    workspace.show(channel, draft, only_for, now).map(drop).map_err(|refused| refused.code.to_owned())
}

/// `GET /page/responses`: how many addresses were handed out, and how often any was used.
pub async fn look(State(playground): State<Playground>) -> Json<Value> {
    Json(playground.read(|state| json!({ "given": state.responses.held.len(), "used": state.responses.used })))
}
