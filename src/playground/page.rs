//! The page's routes, and the guard in front of everything.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::installs::{Place, Seat};
use super::workspace::{Person, Workspace};
use super::{Held, Playground};
use crate::clock::Timestamp;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How often a silent stream shows that it is alive.
const STREAM_COMMENT_EVERY: Duration = Duration::from_secs(15);

/// The page and its data.
pub fn routes() -> Router<Playground> {
    Router::new()
        .route("/", get(index))
        .route("/{file}", get(part))
        .route("/page/state", get(state))
        .route("/page/stream", get(follow))
        .route("/page/plug", post(plug))
        .route("/page/restart", post(restart))
        .route("/page/person", post(person))
        .route("/page/channel", post(channel))
        .route("/page/group", post(group))
}

/// `{"error": …}` with a status.
pub fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// Keeps out other hosts (DNS rebinding) and other sites (cross-site requests), and puts the security
/// headers on every answer.
pub async fn guard(State(playground): State<Playground>, request: Request, next: Next) -> Response {
    if refused(&request).is_none()
        && let Some(host) = only(request.headers(), "host")
    {
        playground.answers_as(host);
    }
    let mut response = match refused(&request) {
        Some(why) => refusal(StatusCode::FORBIDDEN, why),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refused(request: &Request) -> Option<&'static str> {
    let headers = request.headers();
    let Some(host) = only(headers, "host").filter(|host| is_loopback(host)) else {
        return Some("only loopback host names are answered");
    };
    if request.uri().authority().is_some_and(|authority| !is_loopback(authority.as_str())) {
        return Some("only loopback host names are answered");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let same_site = match headers.contains_key("sec-fetch-site") {
        true => matches!(only(headers, "sec-fetch-site"), Some("same-origin" | "none")),
        false => true,
    };
    // Following a link to the page from elsewhere is fine; reading its data from there is not.
    let opens_page = reads && request.uri().path() == "/";
    if !same_site && !opens_page {
        return Some("requests from other sites are not answered");
    }
    let same_origin = match headers.contains_key("origin") {
        true => only(headers, "origin").is_some_and(|origin| origin == format!("http://{host}")),
        false => true,
    };
    (!reads && !same_origin).then_some("requests from other origins are not answered")
}

/// A header's value, if it is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port or none.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost")
}

fn file(playground: &Playground, kind: &'static str, text: &'static str) -> Response {
    match playground.0.page {
        true => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        false => refusal(StatusCode::NOT_FOUND, "the page is not served here"),
    }
}

async fn index(State(playground): State<Playground>) -> Response {
    file(&playground, "text/html; charset=utf-8", include_str!("page/index.html"))
}

/// What the page is made of, besides its HTML: name and text.
const FILES: [(&str, &str); 15] = [
    ("app.css", include_str!("page/app.css")),
    ("app.js", include_str!("page/app.js")),
    ("blockkit.js", include_str!("page/blockkit.js")),
    ("client.js", include_str!("page/client.js")),
    ("composer.js", include_str!("page/composer.js")),
    ("dom.js", include_str!("page/dom.js")),
    ("forms.js", include_str!("page/forms.js")),
    ("guide.js", include_str!("page/guide.js")),
    ("mrkdwn.js", include_str!("page/mrkdwn.js")),
    ("policy.js", include_str!("page/policy.js")),
    ("search.js", include_str!("page/search.js")),
    ("slack.js", include_str!("page/slack.js")),
    ("trail.js", include_str!("page/trail.js")),
    ("ways.js", include_str!("page/ways.js")),
    ("world.js", include_str!("page/world.js")),
];

async fn part(State(playground): State<Playground>, Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((name, text)) if name.ends_with(".css") => file(&playground, "text/css; charset=utf-8", text),
        Some((_, text)) => file(&playground, "text/javascript; charset=utf-8", text),
        None => refusal(StatusCode::NOT_FOUND, "there is no such file"),
    }
}

#[derive(Debug, Deserialize)]
struct Who {
    #[serde(rename = "as")]
    person: String,
    /// Whose app is looked at, where several are installed.
    #[serde(default)]
    team: Option<String>,
}

async fn state(State(playground): State<Playground>, Query(who): Query<Who>) -> Response {
    let now = playground.now();
    let version = *playground.0.version.borrow();
    let seen = playground.read(|held| {
        let place = Place { person: &who.person, team: who.team.as_deref(), ..Place::default() };
        seen_by(held, held.installs.of(place), &who.person, version, now)
    });
    match seen {
        Some(seen) => Json(seen).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "there is no such person"),
    }
}

/// Everything that one person's screen shows.
fn seen_by(held: &Held, seat: Seat, id: &str, version: u64, now: Timestamp) -> Option<Value> {
    let workspace = &held.installs.at(seat).workspace;
    let you = workspace.people.get(id).filter(|person| !person.is_bot)?;
    let dm = you.direct_channel();
    let mut you_object = card(workspace, you);
    you_object["dm"] = json!(dm);
    let channels: Vec<Value> = workspace
        .channels_of(id)
        .map(|channel| json!({ "id": channel.id, "name": channel.name, "kind": channel.kind }))
        .collect();
    let messages: Map<String, Value> =
        workspace.channels_of(id).map(|channel| (channel.id.clone(), messages(workspace, &channel.id, id))).collect();
    let view = workspace.top_view(id).map(|open| {
        let mut shown = json!({ "id": open.id, "view": workspace.view_object(id, open) });
        if !open.errors.is_empty() {
            shown["errors"] = json!(open.errors);
        }
        shown
    });
    Some(json!({
        "version": version, "now": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "stand_in": "This is a stand-in for Slack. Nothing here reaches slack.com.",
        "service": { "url": held.service_url, "up": held.service_up },
        "slack": { "plugged": held.plugged, "team": workspace.team.name },
        "you": you_object,
        "people": workspace.people.values().map(|person| card(workspace, person)).collect::<Vec<_>>(),
        "channels": channels, "messages": messages, "view": view,
        "home": workspace.homes.get(id).map(|home| workspace.view_object(id, home)),
        "groups": workspace.groups.values().map(|g| json!({ "id": g.id, "name": g.name, "handle": g.handle })).collect::<Vec<_>>(),
        "calls": held.calls.iter().rev().collect::<Vec<_>>(),
    }))
}

fn card(workspace: &Workspace, person: &Person) -> Value {
    let outside = !workspace.owns_team(&person.team_id);
    let guest = person.is_restricted || person.is_ultra_restricted;
    let kind = match (person.is_bot, outside, guest) {
        (true, _, _) => "bot",
        (false, true, _) => "outsider",
        (false, false, true) => "guest",
        (false, false, false) => "member",
    };
    json!({ "id": person.id, "name": person.real_name, "title": person.title, "note": person.note, "kind": kind })
}

fn messages(workspace: &Workspace, channel: &str, person: &str) -> Value {
    let seen = workspace.messages_in(channel).filter(|message| message.visible_to(person));
    seen.map(|message| {
        let mut object = serde_json::to_value(message).unwrap_or_default();
        object["ephemeral"] = json!(message.only_for.is_some());
        object
    })
    .collect()
}

/// The version now, then each new one.
async fn follow(State(playground): State<Playground>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let versions = stream::unfold((playground.changes(), true), |(mut changes, first)| async move {
        if !first {
            changes.changed().await.ok()?;
        }
        let version = *changes.borrow_and_update();
        Some((Ok(Event::default().data(json!({ "version": version }).to_string())), (changes, false)))
    });
    Sse::new(versions).keep_alive(KeepAlive::new().interval(STREAM_COMMENT_EVERY))
}

#[derive(Debug, Deserialize)]
struct Plug {
    plugged: bool,
}

async fn plug(State(playground): State<Playground>, Json(plug): Json<Plug>) -> StatusCode {
    playground.change(|state| {
        state.plugged = plug.plugged;
        if !plug.plugged {
            state.hub.cut();
        }
    });
    StatusCode::NO_CONTENT
}

async fn restart(State(playground): State<Playground>) -> Response {
    use tokio::sync::mpsc::error::TrySendError;
    if !playground.somebody_restarts() {
        return refusal(StatusCode::CONFLICT, "nobody here can restart the service");
    }
    match playground.0.ask_restart.try_send(()) {
        // A restart that is already asked for is the same restart.
        Ok(()) | Err(TrySendError::Full(())) => StatusCode::ACCEPTED.into_response(),
        Err(TrySendError::Closed(())) => refusal(StatusCode::CONFLICT, "nobody here can restart the service"),
    }
}

#[derive(Debug, Deserialize)]
struct Change {
    #[serde(default)]
    team: Option<String>,
    id: String,
    set: Map<String, Value>,
}

fn done(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => refusal(StatusCode::BAD_REQUEST, &why),
    }
}

async fn person(State(playground): State<Playground>, Json(change): Json<Change>) -> Response {
    done(playground.change(|state| {
        let seat = state.installs.of(Place { person: &change.id, team: change.team.as_deref(), ..Place::default() });
        state.installs.at_mut(seat).workspace.change_person(&change.id, &change.set)
    }))
}

async fn channel(State(playground): State<Playground>, Json(change): Json<Change>) -> Response {
    done(playground.change(|state| {
        let channel = Some(change.id.as_str());
        let seat = state.installs.of(Place { channel, team: change.team.as_deref(), ..Place::default() });
        state.installs.at_mut(seat).workspace.change_channel(&change.id, &change.set)
    }))
}

#[derive(Debug, Deserialize)]
struct Members {
    #[serde(default)]
    team: Option<String>,
    id: String,
    users: Vec<String>,
}

async fn group(State(playground): State<Playground>, Json(change): Json<Members>) -> Response {
    done(playground.change(|state| {
        let seat = state.installs.of(Place { team: change.team.as_deref(), ..Place::default() });
        state.installs.at_mut(seat).workspace.change_group(&change.id, change.users)
    }))
}
