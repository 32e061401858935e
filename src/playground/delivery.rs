//! Signing what goes out to the service, and sending it as Slack does: once, within three seconds.

use aws_lc_rs::hmac;
use futures_util::future::join;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::Playground;

/// Content type of interactions and commands.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// Content type of events.
pub const JSON: &str = "application/json";

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What the service answered.
#[derive(Debug)]
pub struct Taken {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
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
    pub(super) fn signature(&self, timestamp: &str, body: &[u8]) -> String {
        signature(self.0.signing_secret.expose_secret().as_bytes(), timestamp, body)
    }

    /// Sends an interaction: a form with one field, `payload`.
    pub(super) async fn deliver_payload(&self, kind: &str, payload: &Value) -> Result<Taken, String> {
        let body = serde_urlencoded::to_string([("payload", payload.to_string())]).map_err(|e| e.to_string())?;
        self.deliver(kind, "/slack/interactions", FORM, body).await
    }

    /// Signs and sends; twice at the same instant while that fault is switched on.
    pub(super) async fn deliver(&self, kind: &str, path: &str, content: &str, body: String) -> Result<Taken, String> {
        let times = self.change(|state| state.faults.deliveries(kind));
        let once = |body: String| {
            let timestamp = self.now().timestamp().to_string();
            let signature = self.signature(&timestamp, body.as_bytes());
            self.send(path, content, body, Some(timestamp), Some(signature))
        };
        if times < 2 {
            return once(body).await;
        }
        let (first, second) = join(once(body.clone()), once(body)).await;
        let again = second.ok().map(|taken| taken.status);
        first.map(|taken| Taken { again, ..taken })
    }

    /// Sends it with these headers.
    pub(super) async fn send(
        &self,
        path: &str,
        content: &str,
        body: String,
        timestamp: Option<String>,
        signature: Option<String>,
    ) -> Result<Taken, String> {
        let (plugged, service) = self.read(|state| (state.plugged, state.service_url.clone()));
        if !plugged {
            return Err("Slack cannot be reached: its plug is pulled.".to_owned());
        }
        let service = service.ok_or("The stand-in is not connected to a service yet.")?;
        let mut request = self.0.slack_http.post(format!("{service}{path}")).header("content-type", content);
        if let Some(timestamp) = timestamp {
            request = request.header("x-slack-request-timestamp", timestamp);
        }
        if let Some(signature) = signature {
            request = request.header("x-slack-signature", signature);
        }
        let response = request.body(body).send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let body = read_body(response).await?;
        Ok(Taken { status, body, again: None })
    }
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
