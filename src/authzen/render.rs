//! Says an answer, one decision per question.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use chrono::SecondsFormat;

use super::{Asked, Echo, Error, Semantic, Shape};
use crate::domain::policy::Refused;
use crate::domain::scope::{Scope, ScopeSet};
use crate::door::{Answer, Denied, DeniedKind, Granted, Observed, ParseError, Pending, Rendered};

/// One decision.
struct Decision {
    yes: bool,
    context: Map<String, Value>,
}

/// Says an answer.
pub fn render(answer: &Answer, echo: &Echo) -> Rendered {
    match answer {
        Answer::Granted(granted) => decided(echo, grant(granted, echo)),
        Answer::Observed(observed) => decided(echo, passed(observed, echo)),
        Answer::Pending(pending) => decided(echo, refusal(echo, &pending_context(pending))),
        Answer::Denied(denied) => decided(echo, refusal(echo, &denied_context(denied))),
        Answer::TooMany { retry_after_secs, says } => message(429, says).retry_after(*retry_after_secs),
        Answer::Conflict => message(409, "this webhook-id was used with another body"),
        Answer::Unavailable { retry_after_secs, says } => message(503, says).retry_after(*retry_after_secs),
    }
}

/// Says why a call cannot be judged: a 400 with a message that names each member, or decisions that are all `false`.
pub fn render_error(error: &Error) -> Rendered {
    match error {
        Error::Malformed(problems) => message(400, &ParseError::in_words(problems)),
        Error::Refused { says, echo } => {
            let error = DeniedKind::Policy;
            render(&Answer::Denied(Denied { says: says.clone(), request_id: None, error }), echo)
        }
    }
}

/// An error about the call as a whole: a message, as the standard asks.
pub fn message(status: u16, says: &str) -> Rendered {
    Rendered::json(status, &says)
}

/// The 401 for every call that could not be authenticated.
pub fn unauthenticated() -> Rendered {
    message(401, "this call could not be authenticated").header("www-authenticate", "Bearer")
}

fn grant(granted: &Granted, echo: &Echo) -> Vec<Decision> {
    // Only what was asked for counts, whatever the grant holds.
    let scopes: ScopeSet = granted.scopes.iter().filter(|scope| echo.scopes.contains(scope)).cloned().collect();
    let something = !scopes.is_empty() || echo.scopes.is_empty();
    // A lifetime of 0 means "deny" in this contract.
    let open = something && granted.lifetime > 0;
    let mut shape = open.then(|| granted_context(granted, &scopes));
    let decide = |asked: &Asked| match asked {
        Asked::Gate | Asked::Detail => Decision { yes: open, context: Map::new() },
        Asked::Scope(scope) if open && scopes.contains(scope) => Decision { yes: true, context: Map::new() },
        Asked::Scope(scope) => Decision { yes: false, context: dropped_context(&granted.dropped, scope) },
    };
    let mut decisions: Vec<Decision> = echo.asked.iter().map(decide).collect();
    // The first yes is also the last one that is left when the list is cut, so the ceilings are always there.
    for decision in decisions.iter_mut().filter(|decision| decision.yes).take(1) {
        decision.context = shape.take().unwrap_or_default();
    }
    decisions
}

/// Yes to all that passes; the server's own lifetime holds unless the call named one.
fn passed(observed: &Observed, echo: &Echo) -> Vec<Decision> {
    let something = echo.scopes.is_empty() || echo.scopes.iter().any(|scope| observed.scopes.contains(scope));
    let mut context = Some(observed_context(observed));
    let mut decide = |asked: &Asked| {
        let yes = match asked {
            Asked::Gate | Asked::Detail => something,
            Asked::Scope(scope) => observed.scopes.contains(scope),
        };
        let context = match asked {
            Asked::Scope(scope) if !yes => dropped_context(&observed.dropped, scope),
            Asked::Gate | Asked::Detail | Asked::Scope(_) if yes => context.take().unwrap_or_default(),
            Asked::Gate | Asked::Detail | Asked::Scope(_) => Map::new(),
        };
        Decision { yes, context }
    };
    echo.asked.iter().map(&mut decide).collect()
}

fn observed_context(observed: &Observed) -> Map<String, Value> {
    let mut issuance = Map::from_iter([("granted_scope".to_owned(), json!(observed.scopes.to_string()))]);
    if let Some(lifetime) = observed.lifetime {
        issuance.insert("token_lifetime".to_owned(), json!(lifetime));
    }
    Map::from_iter([("issuance".to_owned(), Value::Object(issuance)), ("observed".to_owned(), json!(true))])
}

fn granted_context(granted: &Granted, scopes: &ScopeSet) -> Map<String, Value> {
    let mut context = Map::new();
    context.insert(
        "issuance".to_owned(),
        json!({ "granted_scope": scopes.to_string(), "token_lifetime": granted.lifetime }),
    );
    let until = granted.grant_expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    context.insert("approval".to_owned(), json!({ "id": granted.grant_id, "approved_until": until }));
    context.insert("receipt".to_owned(), json!(granted.receipt));
    if let Some(id) = &granted.request_id {
        context.insert("request_id".to_owned(), json!(id));
    }
    context
}

fn dropped_context(dropped: &BTreeMap<Scope, Refused>, scope: &Scope) -> Map<String, Value> {
    let mut context = Map::from_iter([("reason".to_owned(), json!(DeniedKind::Policy.as_str()))]);
    if let Some(refused) = dropped.get(scope) {
        context.insert("reason_user".to_owned(), json!(refused.says));
    }
    context
}

/// What makes a denial one that is still being decided: `access_request`. The access request was opened with the
/// evaluation, so one identifier names both.
fn pending_context(pending: &Pending) -> Map<String, Value> {
    let expires_at = pending.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Map::from_iter([
        ("reason".to_owned(), json!("approval_required")),
        ("evaluation_id".to_owned(), json!(pending.request_id)),
        ("access_request".to_owned(), json!({ "expires_at": expires_at })),
        ("request_id".to_owned(), json!(pending.request_id)),
        ("retry_after".to_owned(), json!(pending.interval)),
    ])
}

fn denied_context(denied: &Denied) -> Map<String, Value> {
    let mut context = Map::from_iter([
        ("reason".to_owned(), json!(denied.error.as_str())),
        ("reason_user".to_owned(), json!(denied.says)),
    ]);
    if let Some(id) = &denied.request_id {
        context.insert("request_id".to_owned(), json!(id));
    }
    context
}

/// No to everything, with the reason on each gate, or on the first question where there is none.
fn refusal(echo: &Echo, context: &Map<String, Value>) -> Vec<Decision> {
    let gated = echo.asked.contains(&Asked::Gate);
    let says_why = |n: usize, asked: &Asked| if gated { *asked == Asked::Gate } else { n == 0 };
    let no = |(n, asked)| {
        let context = if says_why(n, asked) { context.clone() } else { Map::new() };
        Decision { yes: false, context }
    };
    echo.asked.iter().enumerate().map(no).collect()
}

fn decided(echo: &Echo, decisions: Vec<Decision>) -> Rendered {
    let cut = match echo.shape {
        Shape::Single | Shape::Batch(Semantic::ExecuteAll) => None,
        Shape::Batch(Semantic::DenyOnFirstDeny) => Some(false),
        Shape::Batch(Semantic::PermitOnFirstPermit) => Some(true),
    };
    let last = cut.and_then(|cut| decisions.iter().position(|decision| decision.yes == cut));
    let kept = last.map_or(decisions.len(), |last| last + 1);
    let mut said: Vec<Value> = decisions.into_iter().take(kept).map(decision).collect();
    match echo.shape {
        Shape::Single => Rendered::json(200, &said.pop().unwrap_or_else(|| json!({ "decision": false }))),
        Shape::Batch(_) => Rendered::json(200, &json!({ "evaluations": said })),
    }
}

fn decision(decision: Decision) -> Value {
    match decision.context.is_empty() {
        true => json!({ "decision": decision.yes }),
        false => json!({ "decision": decision.yes, "context": decision.context }),
    }
}
