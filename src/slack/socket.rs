//! Socket Mode: a connection that we open, through which Slack sends what it would otherwise post to our doors.
//!
//! Envelopes are read leniently. One that cannot be understood is never acknowledged: Slack then shows the person a
//! failure, instead of a click that is lost behind a happy-looking screen. Nothing is signed here; Slack is whoever
//! answers at the address that its Web API named, over TLS, or in the clear on this machine only.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use super::click::{Command, Event, Interaction, NotUnderstood};

/// Connecting, with TLS and the upgrade, takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The largest envelope, in bytes; as for the HTTP doors.
const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// When nothing at all came for so long, the connection is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(20);
/// And after as much again it is dead.
const SIGNS_MISSED_MAX: u32 = 2;

/// A socket that could not be opened, or broke. Never holds its address: that is a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// Only wss, or ws on this machine.
    #[error("the address is not a wss one")]
    NotSafe,
    /// It was not opened.
    #[error("it could not be opened")]
    NotOpened,
    /// TLS cannot be used here.
    #[error("TLS cannot be set up")]
    NoTls,
    /// It ended.
    #[error("the connection ended")]
    Ended,
}

/// An open connection.
pub struct Socket {
    stream: Stream,
    missed: u32,
}

enum Stream {
    Plain(Box<WebSocketStream<TcpStream>>),
    Tls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// What came through a connection.
#[derive(Debug)]
pub enum Arrived {
    /// Slack is ready to send.
    Hello,
    /// Slack will close this connection, soon or at once: another is needed.
    Leave,
    /// Something for us, to be acknowledged under this identifier, or why it is not understood.
    Envelope(String, Box<Result<Inbound, NotUnderstood>>),
    /// Nothing of interest.
    Nothing,
}

/// What Slack tells us, whichever way it comes.
#[derive(Debug)]
pub enum Inbound {
    /// Somebody did something.
    Interaction(Interaction),
    /// Somebody typed a command.
    Command(Command),
    /// Something happened.
    Event(Event),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    envelope_id: String,
    payload: Value,
}

impl Socket {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn open(address: &Url) -> Result<Self, Broken> {
        tokio::time::timeout(CONNECT_WITHIN, Self::connect(address)).await.unwrap_or(Err(Broken::NotOpened))
    }

    async fn connect(address: &Url) -> Result<Self, Broken> {
        let host = address.host_str().ok_or(Broken::NotSafe)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match address.scheme() {
            "wss" => true,
            "ws" if is_this_machine(&host) => false,
            _ => return Err(Broken::NotSafe),
        };
        let port = address.port_or_known_default().ok_or(Broken::NotSafe)?;
        let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|_| Broken::NotOpened)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(ENVELOPE_BYTES_MAX))
            .max_frame_size(Some(ENVELOPE_BYTES_MAX));
        let stream = if secure {
            let name = rustls::pki_types::ServerName::try_from(host).map_err(|_| Broken::NotSafe)?;
            let tls = tls()?.connect(name, tcp).await.map_err(|_| Broken::NotOpened)?;
            let opened = client_async_with_config(address.as_str(), tls, Some(limits)).await;
            Stream::Tls(Box::new(opened.map_err(|_| Broken::NotOpened)?.0))
        } else {
            let opened = client_async_with_config(address.as_str(), tcp, Some(limits)).await;
            Stream::Plain(Box::new(opened.map_err(|_| Broken::NotOpened)?.0))
        };
        Ok(Self { stream, missed: 0 })
    }

    /// What comes next. May be dropped while it waits.
    ///
    /// # Errors
    /// [`Broken::Ended`], also when there was no sign of life for long.
    pub async fn next(&mut self) -> Result<Arrived, Broken> {
        let next = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.next().await,
                Stream::Tls(stream) => stream.next().await,
            }
        };
        let Ok(frame) = tokio::time::timeout(QUIET, next).await else {
            self.missed += 1;
            if self.missed >= SIGNS_MISSED_MAX {
                return Err(Broken::Ended);
            }
            self.send(Frame::Ping(bytes::Bytes::new())).await?;
            return Ok(Arrived::Nothing);
        };
        self.missed = 0;
        match frame {
            Some(Ok(Frame::Text(text))) => Ok(read(text.as_str())),
            Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => Ok(Arrived::Nothing),
            Some(Ok(Frame::Close(_)) | Err(_)) | None => Err(Broken::Ended),
        }
    }

    /// Says that an envelope was taken, with an answer where Slack expects one.
    ///
    /// # Errors
    /// [`Broken::Ended`]: then Slack does not know, and may send it again.
    pub async fn acknowledge(&mut self, envelope: &str, answer: Option<Value>) -> Result<(), Broken> {
        let mut said = json!({ "envelope_id": envelope });
        if let Some(answer) = answer {
            said["payload"] = answer;
        }
        self.send(Frame::Text(said.to_string().into())).await
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // The other side may be gone already.
        let _ = self.send(Frame::Close(None)).await;
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Broken> {
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.send(frame).await,
            Stream::Tls(stream) => stream.send(frame).await,
        };
        sent.map_err(|_| Broken::Ended)
    }
}

/// The one cryptographic library of this program, and the certificates that the system trusts.
fn tls() -> Result<TlsConnector, Broken> {
    use rustls_platform_verifier::BuilderVerifierExt;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|_| Broken::NoTls)?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read(text: &str) -> Arrived {
    let Ok(envelope) = serde_json::from_str::<Envelope>(text) else { return Arrived::Nothing };
    let inbound = match envelope.kind.as_str() {
        "hello" => return Arrived::Hello,
        "disconnect" => return Arrived::Leave,
        _ if envelope.envelope_id.is_empty() => return Arrived::Nothing,
        "interactive" => Interaction::of(envelope.payload).map(Inbound::Interaction),
        "slash_commands" => Command::of(envelope.payload).map(Inbound::Command),
        "events_api" => Event::of(envelope.payload).map(Inbound::Event),
        _ => Err(NotUnderstood("it is of no known type")),
    };
    Arrived::Envelope(envelope.envelope_id, Box::new(inbound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_told_apart_from_what_can() {
        assert!(matches!(read(r#"{"type":"hello","num_connections":1}"#), Arrived::Hello));
        assert!(matches!(read(r#"{"type":"disconnect","reason":"warning"}"#), Arrived::Leave));
        assert!(matches!(read("no json"), Arrived::Nothing));
        for (text, understood) in [
            (r#"{"type":"interactive","envelope_id":"1","payload":{"type":"block_actions"}}"#, true),
            (r#"{"type":"interactive","envelope_id":"1","payload":{}}"#, false),
            (r#"{"type":"interactive","envelope_id":"1","payload":"text"}"#, false),
            (r#"{"type":"slash_commands","envelope_id":"1","payload":{"command":"/access","user_id":"U0BOB"}}"#, true),
            (r#"{"type":"slash_commands","envelope_id":"1","payload":[]}"#, false),
            (
                r#"{"type":"events_api","envelope_id":"1","payload":{"type":"event_callback","event":{"type":"x"}}}"#,
                true,
            ),
            (r#"{"type":"events_api","envelope_id":"1"}"#, false),
            (r#"{"type":"of_next_year","envelope_id":"1","payload":{}}"#, false),
        ] {
            match read(text) {
                Arrived::Envelope(_, inbound) => assert_eq!(inbound.is_ok(), understood, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn only_this_machine_is_spoken_to_in_the_clear() {
        for address in ["ws://slack.example/link", "http://127.0.0.1/link", "ws://10.0.0.1/link"] {
            let refused = Socket::open(&address.parse().unwrap()).await.err();
            assert_eq!(refused, Some(Broken::NotSafe), "{address}");
        }
    }
}
