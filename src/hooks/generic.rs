//! Our own dialect, for authorization servers without one of their own: plain JSON in, plain JSON out.
//!
//! Required are `grant_type`, `client_id` and `scope` (which may be empty); unknown members are ignored, and a
//! member that is `null` counts as absent. Without `subject` the token speaks for the client itself.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::domain::Timestamp;
use crate::domain::ids::HookName;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use crate::door::{Answer, Body, Denied, Granted, ParseError, Pending, Problems, Rendered, Verified};

/// The longest `expires_in` that can be asked for, in seconds: ten years.
pub const EXPIRES_IN_MAX: u64 = 10 * 365 * 24 * 3_600;
/// The most characters of a `reason`.
pub const REASON_MAX: usize = 10_000;
/// The most characters of a `binding_message`.
pub const BINDING_MESSAGE_MAX: usize = 64;
/// The text of `scope` has no bound of its own: beyond 2,500 characters it is refused with a reason, not malformed.
const SCOPE_TEXT_MAX: usize = usize::MAX;
/// The most audiences, actors and authorization details.
const LIST_MAX: usize = 50;

/// Reads a call.
///
/// # Errors
/// [`ParseError::Malformed`] names every member that is missing or wrong; [`ParseError::Refused`] when more scopes
/// are asked for than a person can judge.
pub fn parse(call: &Verified, hook: &HookName) -> Result<TokenRequest, ParseError> {
    let mut body = Body::read(call.body())?;
    let mut problems = Problems::default();
    let p = &mut problems;

    let grant_type = body.take_required("grant_type", p);
    let grant_type = p.identifier("grant_type", grant_type);
    let client_id = body.take_required("client_id", p);
    let client_id = p.identifier("client_id", client_id);
    let scopes = scopes(&mut body, p);
    let subject = body.take("subject", p);
    let subject = p.identifier("subject", subject);
    let actor = body.take("actor", p);
    let actor = actors(p, actor);
    let audience = body.take("audience", p);
    let audience = p.identifiers("audience", audience, LIST_MAX);
    let authorization_details = body.take("authorization_details", p);
    let authorization_details = details(p, authorization_details);
    let cnf = body.take("cnf", p);
    let cnf = confirmation(p, cnf);
    let binding_message = body.take("binding_message", p);
    let binding_message = number_shown(p, "binding_message", binding_message);
    let expires_in = body.take("expires_in", p);
    let requested_lifetime = p.seconds("expires_in", expires_in, EXPIRES_IN_MAX);
    let reason = body.take("reason", p);
    let reason = reason_given(p, "reason", reason);
    let context = body.take("context", p);
    let context: BTreeMap<String, Value> = p.object("context", context).unwrap_or_default().into_iter().collect();

    let (true, Some(grant_type), Some(client_id), Some(scopes)) = (problems.is_empty(), grant_type, client_id, scopes)
    else {
        return Err(problems.into_error());
    };
    let subject = match subject {
        Some(id) => Subject { kind: SubjectKind::User, id, email: None },
        None => Subject { kind: SubjectKind::Client, id: client_id.clone(), email: None },
    };
    Ok(TokenRequest {
        hook: hook.clone(),
        issuer: None,
        grant_type,
        client: Client { id: client_id, name: None },
        subject,
        actor,
        scopes,
        audience: audience.into_iter().collect(),
        authorization_details,
        cnf,
        binding_message,
        requested_lifetime,
        reason,
        context,
    })
}

fn scopes(body: &mut Body<'_>, problems: &mut Problems) -> Option<ScopeSet> {
    let scope = body.take_required("scope", problems);
    let scope = problems.text("scope", scope, SCOPE_TEXT_MAX)?;
    match ScopeSet::parse(&scope) {
        Ok(scopes) => Some(scopes),
        Err(error) if error.is_too_much() => {
            problems.too_much(error.to_string());
            None
        }
        Err(error) => {
            problems.add("scope", error.to_string());
            None
        }
    }
}

/// The actor chain, nearest first: texts, or objects with `sub` as RFC 8693 writes them. An `act` inside of one is
/// the next link; leaving it out would hide somebody who is behind the call.
fn actors(problems: &mut Problems, value: Option<Value>) -> Vec<String> {
    let chains = problems.each("actor", value, LIST_MAX, |problems, path, item| match item {
        Value::Object(members) => Some(actor_chain(problems, path, members)),
        other => problems.identifier(path, Some(other)).map(|id| vec![id]),
    });
    let chain: Vec<String> = chains.into_iter().flatten().collect();
    if chain.len() > LIST_MAX {
        problems.add("actor", format!("names {} actors; {LIST_MAX} is the most", chain.len()));
    }
    chain
}

fn actor_chain(problems: &mut Problems, path: &str, members: Map<String, Value>) -> Vec<String> {
    let (mut chain, mut path, mut link) = (Vec::new(), path.to_owned(), Some(members));
    while let Some(mut members) = link {
        let sub = format!("{path}.sub");
        let id = problems.required(&sub, present(members.remove("sub")));
        chain.extend(problems.identifier(&sub, id));
        path.push_str(".act");
        link = problems.object(&path, present(members.remove("act")));
    }
    chain
}

/// RFC 9396 authorization details: objects, each with a `type`.
fn details(problems: &mut Problems, value: Option<Value>) -> Vec<Value> {
    problems.each("authorization_details", value, LIST_MAX, |problems, path, item| {
        let members = problems.object(path, Some(item))?;
        let kind = format!("{path}.type");
        let found = problems.required(&kind, present(members.get("type").cloned()));
        problems.identifier(&kind, found)?;
        Some(Value::Object(members))
    })
}

/// RFC 7800: an object that says something. An empty one would look like a bound token and bind nothing.
fn confirmation(problems: &mut Problems, value: Option<Value>) -> Option<Value> {
    let members = problems.object("cnf", value)?;
    if members.is_empty() {
        problems.add("cnf", "is empty");
        return None;
    }
    Some(Value::Object(members))
}

/// The number that the client shows its user. Control characters in it could make it look like another one.
fn number_shown(problems: &mut Problems, member: &str, value: Option<Value>) -> Option<String> {
    let text = problems.text(member, value, BINDING_MESSAGE_MAX)?;
    if text.chars().any(char::is_control) {
        problems.add(member, "holds a control character");
        return None;
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Why, in the client's words. Whoever shows it cleans it; an empty one is none.
fn reason_given(problems: &mut Problems, member: &str, value: Option<Value>) -> Option<String> {
    problems.text(member, value, REASON_MAX).filter(|text| !text.trim().is_empty())
}

fn present(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

/// Says an answer.
pub fn render(answer: &Answer) -> Rendered {
    match answer {
        Answer::Granted(granted) => Rendered::json(200, &granted_body(granted)),
        Answer::Pending(pending) => Rendered::json(202, &pending_body(pending)).retry_after(pending.interval),
        Answer::Denied(denied) => Rendered::json(403, &denied_body(denied)),
        Answer::TooMany { retry_after_secs, says } => {
            Rendered::problem(429, "too-many-requests", "Too Many Requests", says).retry_after(*retry_after_secs)
        }
        Answer::Conflict => {
            let says = "this webhook-id was used with another body; send another call under another id";
            Rendered::problem(409, "conflict", "Conflict", says)
        }
        Answer::Unavailable { retry_after_secs, says } => {
            Rendered::problem(503, "unavailable", "Service Unavailable", says).retry_after(*retry_after_secs)
        }
    }
}

/// Says why a call is not a token request.
pub fn render_error(error: &ParseError) -> Rendered {
    match error {
        ParseError::Malformed(problems) => Rendered::malformed(problems),
        ParseError::Refused(says) => render(&Answer::Denied(Denied::too_much(says))),
    }
}

fn granted_body(granted: &Granted) -> Value {
    let mut body = json!({
        "decision": "granted",
        "scope": granted.scopes.to_string(),
        "expires_in": granted.lifetime,
        "expires_at": instant(granted.expires_at),
        "grant_expires_at": instant(granted.grant_expires_at),
        "grant_id": granted.grant_id,
        "receipt": granted.receipt,
    });
    if let Some(id) = &granted.request_id {
        body["request_id"] = json!(id);
    }
    body
}

fn pending_body(pending: &Pending) -> Value {
    json!({
        "decision": "pending",
        "error": "authorization_pending",
        "request_id": pending.request_id,
        "interval": pending.interval,
        "status_url": pending.status_url,
    })
}

fn denied_body(denied: &Denied) -> Value {
    let mut body = json!({
        "decision": "denied",
        "error": denied.error.oauth_error(),
        "error_description": denied.says,
    });
    if let Some(id) = &denied.request_id {
        body["request_id"] = json!(id);
    }
    body
}

/// RFC 3339 in whole seconds, rounded down: never later than the truth.
fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
