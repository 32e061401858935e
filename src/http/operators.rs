//! The operators' API: look, and revoke. No endpoint approves anything.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Doors, PathParts, body, hook, into_response};
use crate::config::{ApiKey, Role};
use crate::domain::audit::Actor;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{GrantId, RequestId, SlackChannelId, WorkspaceName};
use crate::door::Rendered;
use crate::service::{Error, Lift};

/// The most rows of one page.
const PAGE_MAX: u32 = 200;
/// The rows of a page where nobody says how many.
const PAGE: u32 = 50;

/// Which page of a list.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// Only what comes before this identifier (lists are newest first).
    before: Option<String>,
    /// Only what comes after this number (the audit, oldest first).
    after: Option<i64>,
    /// How many at the most.
    limit: Option<u32>,
}

/// What was asked for, or what is wrong with it; that is told only to those who may look.
type Asked = Result<Query<Page>, QueryRejection>;

impl Page {
    fn most(&self) -> u32 {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }
}

/// `GET /v1/requests`
pub async fn requests(State(doors): State<Doors>, page: Asked, headers: HeaderMap) -> Response {
    into_response(match page_for(&doors, &headers, page) {
        Ok(page) => {
            answer(doors.service.requests(page.before.as_deref(), page.most()).await, |all| json!({ "requests": all }))
        }
        Err(rendered) => rendered,
    })
}

/// `GET /v1/requests/{id}`
pub async fn request(State(doors): State<Doors>, PathParts(id): PathParts<String>, headers: HeaderMap) -> Response {
    if let Err(rendered) = key(&doors, &headers, Role::Viewer) {
        return into_response(rendered);
    }
    into_response(match RequestId::parse(id) {
        Ok(id) => found(doors.service.request(&id).await),
        Err(_) => missing(),
    })
}

/// `GET /v1/grants`
pub async fn grants(State(doors): State<Doors>, page: Asked, headers: HeaderMap) -> Response {
    into_response(match page_for(&doors, &headers, page) {
        Ok(page) => {
            answer(doors.service.grants(page.before.as_deref(), page.most()).await, |all| json!({ "grants": all }))
        }
        Err(rendered) => rendered,
    })
}

/// `GET /v1/grants/{id}`
pub async fn grant(State(doors): State<Doors>, PathParts(id): PathParts<String>, headers: HeaderMap) -> Response {
    if let Err(rendered) = key(&doors, &headers, Role::Viewer) {
        return into_response(rendered);
    }
    into_response(match GrantId::parse(id) {
        Ok(id) => found(doors.service.grant(&id).await),
        Err(_) => missing(),
    })
}

/// `POST /v1/grants/{id}/revoke`
pub async fn revoke(State(doors): State<Doors>, PathParts(id): PathParts<String>, request: Request) -> Response {
    let by = match key(&doors, request.headers(), Role::Operator) {
        Ok(key) => Actor::Operator(key.name.clone()),
        Err(rendered) => return into_response(rendered),
    };
    into_response(match body::read(request).await {
        Ok((_, body)) => hook::revoked(&doors.service, &id, by, &body).await,
        Err(rendered) => rendered,
    })
}

/// `POST /v1/slack/rebuild`: everything that is open in a workspace is drawn into a channel of it.
pub async fn rebuild(State(doors): State<Doors>, request: Request) -> Response {
    if let Err(rendered) = key(&doors, request.headers(), Role::Operator) {
        return into_response(rendered);
    }
    let body = match body::read(request).await {
        Ok((_, body)) => body,
        Err(rendered) => return into_response(rendered),
    };
    let asked = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let wrong = |says: &str| into_response(Rendered::problem(400, "about:blank", "Bad Request", says));
    let Some(Ok(channel)) = asked["channel"].as_str().map(SlackChannelId::parse) else {
        return wrong("`channel` must be a channel's id, like \"C0APPROVALS\".");
    };
    let workspace = match &asked["workspace"] {
        Value::Null => None,
        named => match named.as_str().map(WorkspaceName::parse) {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) | None => return wrong("`workspace` must be the name of a workspace."),
        },
    };
    match doors.service.rebuild(workspace.as_ref(), &channel).await {
        Ok(None) => wrong("There is no workspace of that name."),
        rebuilt => into_response(answer(rebuilt, |cards| json!({ "cards": cards }))),
    }
}

/// `GET /v1/audit`
pub async fn audit(State(doors): State<Doors>, page: Asked, headers: HeaderMap) -> Response {
    let page = match page_for(&doors, &headers, page) {
        Ok(page) => page,
        Err(rendered) => return into_response(rendered),
    };
    let entries = doors.service.audit(page.after.unwrap_or(0), page.most()).await;
    into_response(answer(entries, |entries| {
        let entries: Vec<Value> = entries
            .into_iter()
            .map(|chained| {
                let entry = chained.entry;
                json!({
                    "seq": chained.seq, "at": entry.at, "kind": entry.kind, "actor": entry.actor.to_string(),
                    "request_id": entry.request_id, "grant_id": entry.grant_id, "summary": entry.summary,
                    "detail": entry.detail, "previous": chained.previous, "hash": chained.hash,
                })
            })
            .collect();
        json!({ "entries": entries })
    }))
}

/// `GET /v1/outbox`: deliveries that were given up.
pub async fn outbox(State(doors): State<Doors>, page: Asked, headers: HeaderMap) -> Response {
    into_response(match page_for(&doors, &headers, page) {
        Ok(page) => answer(doors.service.dead_letters(page.most()).await, |all| json!({ "dead": all })),
        Err(rendered) => rendered,
    })
}

/// Which reviews.
#[derive(Debug, Deserialize)]
pub struct Reviews {
    /// `open` for those that nobody has answered.
    state: Option<String>,
    /// Only what comes before this identifier.
    before: Option<String>,
    /// How many at the most.
    limit: Option<u32>,
}

/// `GET /v1/reviews`: broken glasses, and what was said of them.
pub async fn reviews(
    State(doors): State<Doors>,
    asked: Result<Query<Reviews>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if let Err(rendered) = key(&doors, &headers, Role::Viewer) {
        return into_response(rendered);
    }
    let says = "`limit` must be a whole number, and `state` is `open` or `all`.";
    let open = match &asked {
        Ok(Query(asked)) => match asked.state.as_deref() {
            Some("open") => Some(true),
            None | Some("all") => Some(false),
            Some(_) => None,
        },
        Err(_) => None,
    };
    let (Ok(Query(Reviews { before, limit, .. })), Some(open)) = (asked, open) else {
        return into_response(Rendered::problem(400, "about:blank", "Bad Request", says));
    };
    let page = Page { before, after: None, limit };
    let found = doors.service.reviews(open, page.before.as_deref(), page.most()).await;
    into_response(answer(found, |all| json!({ "reviews": all })))
}

/// `GET /v1/cooldowns`: what is refused without asking.
pub async fn cooldowns(State(doors): State<Doors>, page: Asked, headers: HeaderMap) -> Response {
    into_response(match page_for(&doors, &headers, page) {
        Ok(page) => answer(doors.service.cooling_down(page.most()).await, |all| json!({ "cooldowns": all })),
        Err(rendered) => rendered,
    })
}

/// Which cool-downs to lift, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifting {
    hook: Option<String>,
    client: Option<String>,
    subject: Option<String>,
    audience: Option<String>,
    scope: Option<String>,
    reason: String,
}

/// `POST /v1/cooldowns/lift`
pub async fn lift_cooldowns(State(doors): State<Doors>, request: Request) -> Response {
    let by = match key(&doors, request.headers(), Role::Operator) {
        Ok(key) => Actor::Operator(key.name.clone()),
        Err(rendered) => return into_response(rendered),
    };
    let body = match body::read(request).await {
        Ok((_, body)) => body,
        Err(rendered) => return into_response(rendered),
    };
    let wrong = |says: &str| into_response(Rendered::problem(400, "about:blank", "Bad Request", says));
    let Ok(lifting) = serde_json::from_slice::<Lifting>(&body) else {
        return wrong("Send JSON with `reason`, and one or more of `hook`, `client`, `subject`, `audience`, `scope`.");
    };
    let Lifting { hook, client, subject, audience, scope, reason } = lifting;
    let (lift, reason) = (Lift { hook, client, subject, audience, scope }, reason.trim());
    if reason.is_empty() || reason.chars().count() > 500 {
        return wrong("`reason` must be a text of 1 to 500 characters.");
    }
    if lift.is_empty() {
        return wrong(
            "Name one or more of `hook`, `client`, `subject`, `audience`, `scope`; all at once is not lifted.",
        );
    }
    let lifted = doors.service.lift_cooldowns(&lift, by, reason).await;
    into_response(answer(lifted, |lifted| json!({ "lifted": lifted })))
}

/// The page that somebody asks for who may look.
fn page_for(doors: &Doors, headers: &HeaderMap, asked: Asked) -> Result<Page, Rendered> {
    key(doors, headers, Role::Viewer)?;
    let says = "`limit` and `after` must be whole numbers.";
    asked.map(|Query(page)| page).map_err(|_| Rendered::problem(400, "about:blank", "Bad Request", says))
}

/// The key that a caller shows, if it is one of ours and may do this. Only hashes are compared.
fn key<'a>(doors: &'a Doors, headers: &HeaderMap, needed: Role) -> Result<&'a ApiKey, Rendered> {
    let shown = headers.get("authorization").and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let hash = sha256_hex(shown.unwrap_or_default().trim().as_bytes());
    let known = doors.api_keys.iter().find(|key| key.sha256 == hash);
    match (shown, known) {
        (Some(_), Some(key)) if key.role >= needed => Ok(key),
        (Some(_), Some(_)) => Err(Rendered::problem(403, "about:blank", "Forbidden", "This key may only look.")),
        (_, _) => {
            metrics::counter!("countersign_unauthenticated_total", "door" => "operators").increment(1);
            Err(Rendered::unauthenticated().header("www-authenticate", "Bearer"))
        }
    }
}

fn answer<T>(result: Result<T, Error>, render: impl FnOnce(T) -> Value) -> Rendered {
    match result {
        Ok(value) => Rendered::json(200, &render(value)),
        Err(error) => hook::unavailable(&error),
    }
}

fn found<T: serde::Serialize>(result: Result<Option<T>, Error>) -> Rendered {
    match result {
        Ok(Some(value)) => Rendered::json(200, &value),
        Ok(None) => missing(),
        Err(error) => hook::unavailable(&error),
    }
}

fn missing() -> Rendered {
    Rendered::problem(404, "about:blank", "Not Found", "There is nothing with this identifier.")
}
