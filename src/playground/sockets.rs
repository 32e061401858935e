//! Socket Mode: the app opens connections to Slack, and what people do goes down one of them in
//! envelopes that the app acknowledges (docs.slack.dev, apis/events-api/using-socket-mode).
//!
//! It owns the running connections and the gestures about them; [`super::hub`] has the books. What is in
//! the envelopes is decided in [`super::delivery`], what becomes of an event that was not acknowledged,
//! in [`super::events`].

use std::time::Duration;

use axum::Json;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::delivery::{Parcel, Taken};
use super::hub::{self, Out, Switches};
use super::records::Refused;
use super::{Held, Playground, faults};
use crate::clock::Timestamp;

/// `apps.connections.open`: an address that opens one connection. Only an app-level token may ask.
pub fn open(state: &mut Held, token: &str, headers: &HeaderMap, now: Timestamp) -> Result<Value, Refused> {
    if token.is_empty() {
        return Err("not_authed".into());
    }
    let Some(seat) = state.installs.of_app_token(token) else {
        let known = state.installs.of_token(token).is_some();
        return Err(if known { "not_allowed_token_type" } else { "invalid_auth" }.into());
    };
    let app = state.installs.at(seat).workspace.app_id.clone();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let ticket = state.hub.ticket(&app, now);
    Ok(json!({ "url": format!("ws://{host}/link?ticket={ticket}&app_id={app}") }))
}

/// The ticket of an address.
#[derive(Debug, Deserialize)]
pub struct Ticket {
    #[serde(default)]
    ticket: String,
}

/// `GET /link`: the connection itself. A ticket works once.
pub async fn link(
    State(playground): State<Playground>,
    Query(Ticket { ticket }): Query<Ticket>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let now = playground.now();
    if !playground.read(|state| state.plugged) {
        return faults::cut();
    }
    let app = playground.change(|state| state.hub.redeem(&ticket, now));
    match app {
        Some(app) => upgrade.on_upgrade(move |socket| serve(playground, socket, app)),
        None => super::page::refusal(StatusCode::UNAUTHORIZED, "that ticket opens nothing"),
    }
}

async fn serve(playground: Playground, mut socket: WebSocket, app: String) {
    let (out, mut inbox) = mpsc::unbounded_channel();
    let id = playground.change(|state| state.hub.came(app, out));
    loop {
        tokio::select! {
            todo = inbox.recv() => match todo {
                Some(Out::Text(text)) => if socket.send(Frame::Text(text.into())).await.is_err() { break },
                Some(Out::Freeze) => frozen(&mut inbox).await,
                Some(Out::Close) | None => break,
            },
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Text(text))) => {
                    let answer = serde_json::from_str(&text).unwrap_or_default();
                    playground.change(|state| state.hub.acknowledged(&answer));
                }
                Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(Frame::Close(_)) | Err(_)) | None => break,
            },
        }
    }
    playground.change(|state| state.hub.gone(id));
    // The other end may be gone already.
    let _ = socket.send(Frame::Close(None)).await;
}

/// Until it is closed nothing gets in or out.
async fn frozen(inbox: &mut mpsc::UnboundedReceiver<Out>) {
    while let Some(todo) = inbox.recv().await {
        if matches!(todo, Out::Close) {
            inbox.close();
        }
    }
}

impl Playground {
    /// Sends down a socket and waits for the acknowledgement, whose payload is the answer.
    pub(super) async fn over_socket(&self, app: &str, parcel: &Parcel) -> Result<Taken, String> {
        let id = uuid::Uuid::new_v4().to_string();
        let (acknowledged, answer) = oneshot::channel();
        let patience = self.change(|state| hub::send(&mut state.hub, app, parcel, &id, acknowledged))?;
        self.ask_to_leave();
        let answered = tokio::time::timeout(patience, answer).await;
        if answered.is_err() {
            self.change(|state| state.hub.waiting.remove(&id));
        }
        match answered {
            Ok(Ok(payload)) => {
                let body = if payload.is_null() { String::new() } else { payload.to_string() };
                Ok(Taken { status: 200, body, no_retry: false, again: None })
            }
            Ok(Err(_)) => Err("The connection ended before the app acknowledged.".to_owned()),
            Err(_) => Err("The app did not acknowledge in time (operation_timeout).".to_owned()),
        }
    }

    /// Lets a connection that was told to leave live a little longer.
    fn close_later(&self, id: u64, grace: Duration) {
        let playground = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            playground.change(|state| hub::close(&mut state.hub, id));
        });
    }

    /// Asks the connections to leave that had their share of envelopes.
    fn ask_to_leave(&self) {
        let (leaving, grace) = self.change(|state| {
            let books = &mut state.hub;
            let grace = Duration::from_millis(books.switches.grace_ms);
            let Some(most) = books.switches.disconnect_every else { return (Vec::new(), grace) };
            let due = books.connections.iter_mut().filter(|held| !held.leaving && held.sent >= most);
            let reason = &books.switches.disconnect_reason;
            (due.map(|held| hub::leave(held, reason)).collect(), grace)
        });
        for id in leaving {
            self.close_later(id, grace);
        }
    }
}

/// `GET /page/socket`: connections, envelopes and switches.
pub async fn look(State(playground): State<Playground>) -> Json<Value> {
    Json(playground.read(|state| {
        let connections = state
            .hub
            .connections
            .iter()
            .map(|held| json!({ "id": held.id, "app_id": held.app, "sent": held.sent, "leaving": held.leaving }));
        json!({
            "connections": connections.collect::<Vec<_>>(), "made": state.hub.made,
            "envelopes": state.hub.envelopes, "switches": state.hub.switches,
        })
    }))
}

/// `POST /page/socket`: sets the switches; what is left out is off.
pub async fn switch(State(playground): State<Playground>, Json(switches): Json<Switches>) -> StatusCode {
    playground.change(|state| state.hub.switches = switches);
    StatusCode::NO_CONTENT
}

/// `POST /page/socket/act`: something befalls one connection (`connection`), or all.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Befall {
    /// Slack asks to disconnect, and closes after the grace.
    Disconnect {
        /// Which.
        #[serde(default)]
        connection: Option<u64>,
        /// `warning`, `refresh_requested`, `link_disabled`.
        reason: String,
    },
    /// The connection breaks.
    Close {
        /// Which.
        #[serde(default)]
        connection: Option<u64>,
    },
    /// Nothing gets in or out any more, and nobody says so.
    Freeze {
        /// Which.
        #[serde(default)]
        connection: Option<u64>,
    },
    /// Any text at all is sent.
    Send {
        /// Which.
        #[serde(default)]
        connection: Option<u64>,
        /// As it is.
        text: String,
    },
    /// Socket Mode is switched off for all apps: what happens goes over HTTP again.
    Off,
}

/// Does it; answers how many connections it befell.
pub async fn befall(State(playground): State<Playground>, Json(what): Json<Befall>) -> Json<Value> {
    let (befallen, leaving, grace) = playground.change(|state| {
        let books = &mut state.hub;
        let grace = Duration::from_millis(books.switches.grace_ms);
        let which = match &what {
            Befall::Disconnect { connection, .. }
            | Befall::Close { connection }
            | Befall::Freeze { connection }
            | Befall::Send { connection, .. } => *connection,
            Befall::Off => {
                books.apps.clear();
                None
            }
        };
        let chosen = books.connections.iter_mut().filter(|held| which.is_none_or(|id| held.id == id));
        let (mut befallen, mut leaving) = (0, Vec::new());
        for connection in chosen {
            befallen += 1;
            let todo = match &what {
                Befall::Disconnect { reason, .. } => {
                    leaving.push(hub::leave(connection, reason));
                    continue;
                }
                Befall::Close { .. } | Befall::Off => Out::Close,
                Befall::Freeze { .. } => Out::Freeze,
                Befall::Send { text, .. } => Out::Text(text.clone()),
            };
            let _ = connection.out.send(todo);
        }
        (befallen, leaving, grace)
    });
    for id in leaving {
        playground.close_later(id, grace);
    }
    Json(json!({ "connections": befallen }))
}
