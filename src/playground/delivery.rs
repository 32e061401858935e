//! What goes out to the service: over a socket where the app has one open, else signed over HTTP; once,
//! and answered within three seconds, as Slack has it.

use aws_lc_rs::hmac;
use axum::Json;
use axum::extract::State;
use futures_util::future::join;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Playground;
use super::installs::Seat;

/// Content type of interactions and commands.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// Content type of events.
pub const JSON: &str = "application/json";

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How many deliveries may be held back.
const HELD_BACK_MAX: usize = 100;

/// What the page is told of a delivery that waits for its release.
pub const HELD_BACK: &str = "It is held back; it goes out when somebody releases it.";

/// What the service answered.
#[derive(Debug)]
pub struct Taken {
    /// The HTTP status; 200 for what a socket acknowledged.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// Whether the app wants no retries (`x-slack-no-retry`).
    pub no_retry: bool,
    /// The status of the second delivery, where everything is sent twice.
    pub again: Option<u16>,
}

impl Taken {
    /// For the page: delivered, with which status; and why the person sees a warning, if so.
    pub fn report(&self) -> Value {
        let mut report = json!({ "delivered": true, "status": self.status });
        if let Some(again) = self.again {
            report["again"] = json!(again);
        }
        if self.status != 200 {
            report["why"] = json!(format!("This app responded with status code {}.", self.status));
        }
        report
    }
}

/// One thing to deliver.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Whose app hears of it.
    pub seat: Seat,
    /// The type of the interaction or event; `command` for commands.
    pub kind: String,
    /// What it says.
    pub content: Content,
    /// Which retry it is, and why.
    pub retry: Option<(usize, &'static str)>,
}

/// What is delivered, by the door that it goes to.
#[derive(Debug, Clone)]
pub enum Content {
    /// Clicks, forms, searches.
    Interaction(Value),
    /// Slash commands.
    Command(Map<String, Value>),
    /// Events.
    Event(Value),
}

impl Content {
    /// The type of the envelope on a socket.
    pub fn envelope_type(&self) -> &'static str {
        match self {
            Self::Interaction(_) => "interactive",
            Self::Command(_) => "slash_commands",
            Self::Event(_) => "events_api",
        }
    }

    /// The payload of the envelope on a socket.
    pub fn payload(&self) -> Value {
        match self {
            Self::Interaction(payload) | Self::Event(payload) => payload.clone(),
            Self::Command(fields) => Value::Object(fields.clone()),
        }
    }

    /// Path, content type and body over HTTP.
    fn request(&self) -> Result<(&'static str, &'static str, String), String> {
        let form = |fields: Vec<(&str, &str)>| serde_urlencoded::to_string(fields).map_err(|error| error.to_string());
        match self {
            Self::Interaction(payload) => {
                Ok(("/slack/interactions", FORM, form(vec![("payload", &payload.to_string())])?))
            }
            Self::Command(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
                Ok(("/slack/commands", FORM, form(fields.collect())?))
            }
            Self::Event(envelope) => Ok(("/slack/events", JSON, envelope.to_string())),
        }
    }
}

/// A request to the service, as it goes out.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// Where to.
    pub path: &'a str,
    /// Content type.
    pub content: &'a str,
    /// As sent and as signed.
    pub body: String,
    /// `x-slack-request-timestamp`, unless it is left out.
    pub timestamp: Option<String>,
    /// `x-slack-signature`, unless it is left out.
    pub signature: Option<String>,
    /// Which retry it is, and why.
    pub retry: Option<(usize, &'static str)>,
}

/// Slack's request signature: `v0=` and the HMAC-SHA256 over `v0:{timestamp}:{body}`, in hexadecimal
/// (docs.slack.dev, verifying-requests-from-slack).
pub fn signature(secret: &[u8], timestamp: &str, body: &[u8]) -> String {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    mac.update(b"v0:");
    mac.update(timestamp.as_bytes());
    mac.update(b":");
    mac.update(body);
    let hex: String = mac.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

impl Playground {
    /// Signed with the secret of that installation.
    pub(super) fn signature(&self, seat: Seat, timestamp: &str, body: &[u8]) -> String {
        let secret = self.read(|state| state.installs.at(seat).signing_secret.clone());
        signature(secret.expose_secret().as_bytes(), timestamp, body)
    }

    /// Delivers a click, a filled form and the like.
    pub(super) async fn deliver_payload(&self, seat: Seat, kind: &str, payload: Value) -> Result<Taken, String> {
        self.deliver(Parcel { seat, kind: kind.to_owned(), content: Content::Interaction(payload), retry: None }).await
    }

    /// Delivers; twice at the same instant while that fault is switched on, later while that one is.
    pub(super) async fn deliver(&self, parcel: Parcel) -> Result<Taken, String> {
        let held = self.change(|state| {
            let holds = state.faults.holds_back(&parcel.kind) && state.held_back.len() < HELD_BACK_MAX;
            if holds {
                state.held_back.push(parcel.clone());
            }
            holds
        });
        if held {
            return Err(HELD_BACK.to_owned());
        }
        if self.change(|state| state.faults.deliveries(&parcel.kind)) < 2 {
            return self.deliver_once(&parcel).await;
        }
        let (first, second) = join(self.deliver_once(&parcel), self.deliver_once(&parcel)).await;
        let again = second.ok().map(|taken| taken.status);
        first.map(|taken| Taken { again, ..taken })
    }

    async fn deliver_once(&self, parcel: &Parcel) -> Result<Taken, String> {
        if let Some(app) = self.read(|state| state.socket_app(parcel.seat)) {
            return self.over_socket(&app, parcel).await;
        }
        let (path, content, body) = parcel.content.request()?;
        let timestamp = self.now().timestamp().to_string();
        let signature = Some(self.signature(parcel.seat, &timestamp, body.as_bytes()));
        let timestamp = Some(timestamp);
        self.send(Request { path, content, body, timestamp, signature, retry: parcel.retry }).await
    }

    /// Sends a request as it stands.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Taken, String> {
        let (plugged, service) = self.read(|state| (state.plugged, state.service_url.clone()));
        if !plugged {
            return Err("Slack cannot be reached: its plug is pulled.".to_owned());
        }
        let service = service.ok_or("The stand-in is not connected to a service yet.")?;
        let url = format!("{service}{}", request.path);
        let mut post = self.0.slack_http.post(url).header("content-type", request.content);
        for (name, value) in
            [("x-slack-request-timestamp", request.timestamp), ("x-slack-signature", request.signature)]
        {
            if let Some(value) = value {
                post = post.header(name, value);
            }
        }
        if let Some((number, reason)) = request.retry {
            post = post.header("x-slack-retry-num", number.to_string()).header("x-slack-retry-reason", reason);
        }
        let response = post.body(request.body).send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let no_retry = response.headers().get("x-slack-no-retry").is_some_and(|value| value == "1");
        let body = read_body(response).await?;
        Ok(Taken { status, body, no_retry, again: None })
    }
}

/// `POST /page/release`: what was held back goes out now.
#[derive(Debug, Deserialize)]
pub struct Release {
    /// The last first.
    #[serde(default)]
    reversed: bool,
}

/// Sends it, one after the other; answers how each was taken.
pub async fn release(State(playground): State<Playground>, Json(release): Json<Release>) -> Json<Value> {
    let mut parcels = playground.change(|state| std::mem::take(&mut state.held_back));
    if release.reversed {
        parcels.reverse();
    }
    let mut reports = Vec::new();
    for parcel in parcels {
        let mut report = match playground.deliver_once(&parcel).await {
            Ok(taken) => taken.report(),
            Err(why) => json!({ "delivered": false, "why": why }),
        };
        report["kind"] = json!(parcel.kind);
        reports.push(report);
    }
    Json(json!({ "released": reports }))
}

/// The body as text, up to a bound.
pub(super) async fn read_body(mut response: reqwest::Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err("The answer is too large.".to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// What went wrong, without addresses or bodies.
pub(super) fn failure(error: &reqwest::Error) -> String {
    let why = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "The service did not answer in time (operation_timeout).",
        (false, true) => "The service cannot be reached.",
        (false, false) => "The connection to the service broke.",
    };
    why.to_owned()
}
