//! The doors of authorization servers.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{Doors, PathParts, body, into_response};
use crate::domain::audit::Actor;
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::token_request::TokenRequest;
use crate::door::{Answer, Denied, Dialect, ParseError, Rendered, Verified, authenticate};
use crate::hooks::{generic, hydra, preferred_wait};
use crate::service::{Call, Hook, HookCall, Revocation, Service};

/// When a caller may come back that could not be answered, in seconds.
const RETRY_AFTER: u64 = 5;

/// `POST /hooks/{name}`
pub async fn called(State(doors): State<Doors>, PathParts(name): PathParts<String>, request: Request) -> Response {
    // Boxed, and the head dropped: a held call must not keep what was needed to read it.
    let (hook, headers, verified) = match Box::pin(enter(&doors, &name, request)).await {
        Ok(entered) => entered,
        Err(rendered) => return into_response(rendered),
    };
    let wait = preferred_wait(&headers).unwrap_or(Duration::ZERO);
    drop(headers);
    into_response(match hook.dialect {
        Dialect::Generic => generic(&doors.service, &hook, wait, verified).await,
        Dialect::Hydra => hydra(&doors.service, &hook, verified).await,
        // It has doors of its own.
        Dialect::Authzen => unauthenticated(&name),
    })
}

async fn generic(service: &Service, hook: &Hook, wait: Duration, verified: Verified) -> Rendered {
    let read = generic::parse(&verified, &hook.name).map(|asked| call(hook, asked, verified));
    match read {
        Ok(call) => generic::render(&answered(service, hook, &call, wait.min(hook.hold)).await),
        Err(error) => {
            Box::pin(refused(service, hook, &error)).await;
            generic::render_error(&error)
        }
    }
}

async fn hydra(service: &Service, hook: &Hook, verified: Verified) -> Rendered {
    let read = hydra::parse(&verified, &hook.name).map(|parsed| (call(hook, parsed.request, verified), parsed.echo));
    match read {
        Ok((call, echo)) => hydra::render(&answered(service, hook, &call, hook.hold).await, &echo),
        Err(error) => {
            Box::pin(refused(service, hook, &error)).await;
            hydra::render_error(&error)
        }
    }
}

/// What is asked, by which call. The bytes that said so end here: a held call must not keep them.
fn call(hook: &Hook, asked: TokenRequest, verified: Verified) -> Box<Call> {
    let named = verified.webhook_id().map(|id| HookCall {
        hook: hook.name.clone(),
        id: id.to_owned(),
        body_hash: verified.body_hash(),
    });
    Box::new(Call { asked, named })
}

/// The service's answer; what goes wrong refuses.
pub(super) async fn answer(
    service: &Service,
    hook: &Hook,
    asked: TokenRequest,
    verified: &Verified,
    hold: Duration,
) -> Answer {
    answered(service, hook, &call(hook, asked, verified.clone()), hold).await
}

async fn answered(service: &Service, hook: &Hook, call: &Call, hold: Duration) -> Answer {
    let answer = Box::pin(service.token_requested(hook, call, hold)).await.unwrap_or_else(|error| {
        tracing::error!(%error, hook = %hook.name, "a token request is refused because of an error");
        Answer::Unavailable { retry_after_secs: RETRY_AFTER, says: error.shown().to_owned() }
    });
    metrics::counter!("countersign_hook_answers_total", "hook" => hook.name.to_string(), "answer" => word(&answer))
        .increment(1);
    answer
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Granted(_) => "granted",
        Answer::Observed(_) => "observed",
        Answer::Pending(_) => "pending",
        Answer::Denied(Denied { error, .. }) => error.as_str(),
        Answer::TooMany { .. } => "too_many",
        Answer::Conflict => "conflict",
        Answer::Unavailable { .. } => "unavailable",
    }
}

/// A call that is authentic but cannot be judged leaves its refusal in the audit, and nothing else.
pub(super) async fn refused(service: &Service, hook: &Hook, error: &ParseError) {
    metrics::counter!("countersign_hook_answers_total", "hook" => hook.name.to_string(), "answer" => "malformed")
        .increment(1);
    if let Err(failure) = service.call_refused(hook, &error.to_string()).await {
        tracing::error!(error = %failure, "a refusal could not be written down");
    }
}

/// `GET /hooks/{name}/requests/{id}`: where an access request of this hook stands.
pub async fn status(
    State(doors): State<Doors>,
    PathParts((name, id)): PathParts<(String, String)>,
    request: Request,
) -> Response {
    let (hook, _, _) = match enter(&doors, &name, request).await {
        Ok(entered) => entered,
        Err(rendered) => return into_response(rendered),
    };
    let unknown = || Rendered::problem(404, "about:blank", "Not Found", "This hook has no such access request.");
    let Ok(id) = RequestId::parse(id) else { return into_response(unknown()) };
    into_response(match doors.service.request_of_hook(&hook, &id).await {
        Ok(Some(request)) => {
            let (now, interval) = (doors.service.now(), RETRY_AFTER);
            Rendered::json(
                200,
                &json!({ "request_id": request.id, "status": request.status(now), "expires_at": request.decide_by, "interval": interval }),
            )
        }
        Ok(None) => unknown(),
        Err(error) => unavailable(&error),
    })
}

/// `POST /hooks/{name}/grants/{id}/revoke`: the hook, on its client's behalf.
pub async fn revoke(
    State(doors): State<Doors>,
    PathParts((name, id)): PathParts<(String, String)>,
    request: Request,
) -> Response {
    let (hook, _, verified) = match enter(&doors, &name, request).await {
        Ok(entered) => entered,
        Err(rendered) => return into_response(rendered),
    };
    let by = Actor::Hook(hook.name.clone());
    into_response(revoked(&doors.service, &id, by, verified.body()).await)
}

/// Revokes, for operators and hooks alike.
pub(super) async fn revoked(service: &Service, id: &str, by: Actor, body: &Bytes) -> Rendered {
    #[derive(serde::Deserialize)]
    struct Why {
        reason: String,
    }
    let reason = serde_json::from_slice::<Why>(body).map(|why| why.reason.trim().to_owned()).unwrap_or_default();
    if reason.is_empty() || reason.chars().count() > 500 {
        let says = "`reason` must be a text of 1 to 500 characters.";
        return Rendered::problem(400, "about:blank", "Bad Request", says);
    }
    let Ok(id) = GrantId::parse(id) else { return no_grant() };
    match service.revoke_grant(&id, by, &reason).await {
        Ok(Revocation::Done) => Rendered::json(200, &json!({ "grant_id": id, "status": "revoked" })),
        Ok(Revocation::Unknown) => no_grant(),
        Ok(Revocation::Over) => Rendered::problem(409, "about:blank", "Conflict", "The grant is over already."),
        Err(error) => unavailable(&error),
    }
}

fn no_grant() -> Rendered {
    Rendered::problem(404, "about:blank", "Not Found", "There is no such grant.")
}

pub(super) fn unavailable(error: &crate::service::Error) -> Rendered {
    tracing::error!(%error, "a call could not be answered");
    Rendered::problem(503, "about:blank", "Service Unavailable", error.shown()).retry_after(RETRY_AFTER)
}

/// Reads and authenticates. An unknown hook and a wrong signature look the same.
pub(super) async fn enter(
    doors: &Doors,
    name: &str,
    request: Request,
) -> Result<(std::sync::Arc<Hook>, HeaderMap, Verified), Rendered> {
    let (parts, body) = body::read(request).await?;
    let hook = doors.service.hook(name).ok_or_else(|| unauthenticated(name))?;
    let verified = authenticate(&hook.auth, &parts.headers, &body).ok_or_else(|| unauthenticated(name))?;
    Ok((hook, parts.headers, verified))
}

pub(super) fn unauthenticated(_name: &str) -> Rendered {
    // Unauthenticated names are no label: anybody could fill the metrics with them.
    metrics::counter!("countersign_unauthenticated_total", "door" => "hook").increment(1);
    Rendered::unauthenticated()
}
