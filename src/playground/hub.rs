//! Which connections of which apps are open, which envelope went down which, and the switches that make
//! them misbehave. Plain data; the connections themselves run in [`super::sockets`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Held;
use super::delivery::Parcel;
use super::installs::Seat;
use crate::clock::Timestamp;

/// How long a ticket opens a connection, by the stand-in's clock.
const TICKET_LASTS: Duration = Duration::from_secs(30);

/// How many connections an app may have at once.
const CONNECTIONS_MAX: usize = 10;

/// How many envelopes are remembered; the oldest are forgotten first.
const ENVELOPES_MAX: usize = 1_000;

/// How many tickets are remembered.
const TICKETS_MAX: usize = 100;

/// How the sockets misbehave. Counts go down to nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// How long an envelope waits for its acknowledgement, in milliseconds of real time.
    ack_ms: u64,
    /// Each connection is asked to go away after so many envelopes.
    pub(super) disconnect_every: Option<u32>,
    /// What it is told then: `warning`, `refresh_requested` or `link_disabled`.
    pub(super) disconnect_reason: String,
    /// How long it may live after that, in milliseconds of real time.
    pub(super) grace_ms: u64,
    /// So many envelopes are sent twice, under the same id.
    duplicate: u32,
    /// Before so many envelopes comes something that is not JSON.
    garbage: u32,
    /// Before so many envelopes comes one whose payload nobody can understand.
    odd: u32,
    /// So many acknowledgements get lost on their way.
    lose_ack: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            ack_ms: 3_000,
            disconnect_every: None,
            disconnect_reason: "warning".to_owned(),
            grace_ms: 1_000,
            duplicate: 0,
            garbage: 0,
            odd: 0,
            lose_ack: 0,
        }
    }
}

/// All connections of all apps.
#[derive(Debug, Default)]
pub struct Hub {
    pub(super) connections: Vec<Connection>,
    tickets: VecDeque<(String, String, Timestamp)>,
    pub(super) envelopes: VecDeque<Envelope>,
    pub(super) waiting: HashMap<String, Waiter>,
    pub(super) switches: Switches,
    pub(super) made: u64,
    /// Apps that had a connection once: nothing goes to them over HTTP any more.
    pub(super) apps: Vec<String>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) app: String,
    pub(super) out: mpsc::UnboundedSender<Out>,
    pub(super) sent: u32,
    /// It was told to go: nothing more is sent to it.
    pub(super) leaving: bool,
}

/// What a connection's task is to do.
#[derive(Debug)]
pub(super) enum Out {
    Text(String),
    /// Neither reads nor writes any more, as a network that swallows everything.
    Freeze,
    Close,
}

#[derive(Debug)]
pub(super) struct Waiter {
    connection: u64,
    acknowledged: oneshot::Sender<Value>,
}

/// An envelope that was sent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Envelope {
    envelope_id: String,
    #[serde(rename = "type")]
    kind: String,
    connection: u64,
    retry_attempt: usize,
    /// How often it was acknowledged.
    acks: u32,
}

impl Hub {
    fn open_connections(&self, app: &str) -> usize {
        self.connections.iter().filter(|held| held.app == app).count()
    }

    /// The connection that had the least to do.
    fn idlest(&mut self, app: &str) -> Option<&mut Connection> {
        self.connections.iter_mut().filter(|held| held.app == app && !held.leaving).min_by_key(|held| held.sent)
    }

    fn remember(&mut self, id: &str, kind: &str, connection: u64, retry_attempt: usize) {
        if self.envelopes.len() >= ENVELOPES_MAX {
            self.envelopes.pop_front();
        }
        let (envelope_id, kind) = (id.to_owned(), kind.to_owned());
        self.envelopes.push_back(Envelope { envelope_id, kind, connection, retry_attempt, acks: 0 });
    }

    /// An acknowledgement came.
    pub(super) fn acknowledged(&mut self, answer: &Value) {
        let Some(id) = answer["envelope_id"].as_str() else { return };
        if let Some(envelope) = self.envelopes.iter_mut().rev().find(|held| held.envelope_id == id) {
            envelope.acks += 1;
        }
        if !self.waiting.contains_key(id) || used_up(&mut self.switches.lose_ack) {
            return;
        }
        if let Some(waiter) = self.waiting.remove(id) {
            // Whoever waited may have given up meanwhile.
            let _ = waiter.acknowledged.send(answer.get("payload").cloned().unwrap_or(Value::Null));
        }
    }

    /// A new ticket for an app.
    pub(super) fn ticket(&mut self, app: &str, now: Timestamp) -> String {
        if self.tickets.len() >= TICKETS_MAX {
            self.tickets.pop_front();
        }
        let ticket = super::random_hex();
        self.tickets.push_back((ticket.clone(), app.to_owned(), now));
        ticket
    }

    /// The app whose connection a ticket opens. It works once.
    pub(super) fn redeem(&mut self, ticket: &str, now: Timestamp) -> Option<String> {
        let at = self.tickets.iter().position(|(held, ..)| held == ticket)?;
        let (_, app, made) = self.tickets.remove(at)?;
        let age = now.signed_duration_since(made).to_std().unwrap_or(Duration::ZERO);
        (age <= TICKET_LASTS).then_some(app)
    }

    /// A connection was made: what it is told first, and its number.
    pub(super) fn came(&mut self, app: String, out: mpsc::UnboundedSender<Out>) -> u64 {
        self.made += 1;
        let (id, open) = (self.made, self.open_connections(&app));
        if open >= CONNECTIONS_MAX {
            let told = json!({ "type": "disconnect", "reason": "too_many_websockets" });
            for todo in [Out::Text(told.to_string()), Out::Close] {
                // The connection's own task reads what was put here.
                let _ = out.send(todo);
            }
            return id;
        }
        let hello = json!({
            "type": "hello", "num_connections": open + 1, "connection_info": { "app_id": app },
            "debug_info": { "host": "stand-in", "build_number": 1, "approximate_connection_time": 18_060 },
        });
        let _ = out.send(Out::Text(hello.to_string()));
        if !self.apps.contains(&app) {
            self.apps.push(app.clone());
        }
        self.connections.push(Connection { id, app, out, sent: 0, leaving: false });
        id
    }

    /// A connection ended: what waited on it waits in vain.
    pub(super) fn gone(&mut self, id: u64) {
        self.connections.retain(|held| held.id != id);
        self.waiting.retain(|_, waiter| waiter.connection != id);
    }

    /// Ends every connection, as a pulled plug does.
    pub fn cut(&mut self) {
        for connection in &self.connections {
            let _ = connection.out.send(Out::Close);
        }
    }
}

/// Counts a switch down; says whether it was on.
fn used_up(count: &mut u32) -> bool {
    let on = *count > 0;
    *count = count.saturating_sub(1);
    on
}

impl Held {
    /// The app of an installation, if Socket Mode is how it is reached.
    pub(super) fn socket_app(&self, seat: Seat) -> Option<String> {
        let app = &self.installs.at(seat).workspace.app_id;
        self.hub.apps.contains(app).then(|| app.clone())
    }
}

/// Puts an envelope on the idlest connection; answers how long its acknowledgement is waited for.
pub(super) fn send(
    hub: &mut Hub,
    app: &str,
    parcel: &Parcel,
    id: &str,
    acknowledged: oneshot::Sender<Value>,
) -> Result<Duration, String> {
    let kind = parcel.content.envelope_type();
    let mut envelope = json!({
        "envelope_id": id, "type": kind, "payload": parcel.content.payload(),
        "accepts_response_payload": kind != "events_api",
    });
    let retry_attempt = parcel.retry.map_or(0, |(number, _)| number);
    if kind == "events_api" {
        envelope["retry_attempt"] = json!(retry_attempt);
        envelope["retry_reason"] = json!(parcel.retry.map_or("", |(_, reason)| socket_reason(reason)));
    }
    let (garbage, odd) = (used_up(&mut hub.switches.garbage), used_up(&mut hub.switches.odd));
    let twice = used_up(&mut hub.switches.duplicate);
    let connection = hub.idlest(app).ok_or("No connection of the app is open (Socket Mode).")?;
    connection.sent += 1;
    let (number, out) = (connection.id, connection.out.clone());
    let text = |text: String| {
        // A connection that just ended drops what is waited for with it.
        let _ = out.send(Out::Text(text));
    };
    if garbage {
        text("{\"envelope_id\": \"".to_owned());
    }
    if odd {
        let odd = format!("odd-{id}");
        hub.remember(&odd, kind, number, 0);
        text(json!({ "envelope_id": odd, "type": kind, "payload": { "type": 7, "actions": "none" } }).to_string());
    }
    hub.remember(id, kind, number, retry_attempt);
    hub.waiting.insert(id.to_owned(), Waiter { connection: number, acknowledged });
    for _ in 0..if twice { 2 } else { 1 } {
        text(envelope.to_string());
    }
    Ok(Duration::from_millis(hub.switches.ack_ms))
}

fn socket_reason(reason: &str) -> &str {
    match reason {
        "http_timeout" => "timeout",
        other => other,
    }
}

/// Asks a connection to leave; answers its number.
pub(super) fn leave(connection: &mut Connection, reason: &str) -> u64 {
    connection.leaving = true;
    let told = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "stand-in" } });
    let _ = connection.out.send(Out::Text(told.to_string()));
    connection.id
}

/// Closes a connection.
pub(super) fn close(hub: &mut Hub, id: u64) {
    if let Some(connection) = hub.connections.iter().find(|held| held.id == id) {
        let _ = connection.out.send(Out::Close);
    }
}
