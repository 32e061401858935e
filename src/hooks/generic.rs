//! Our own dialect, for authorization servers without one of their own: plain JSON in, plain JSON out.
//!
//! Required are `grant_type`, `client_id` and `scope` (which may be empty); unknown members are ignored, and a
//! member that is `null` counts as absent. Without `subject` the token speaks for the client itself.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::domain::ids::HookName;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use crate::door::{Answer, Body, Denied, Granted, Observed, ParseError, Pending, Problems, Rendered, Verified};

/// The text of `scope` has no bound of its own: beyond 2,500 characters it is refused with a reason, not malformed.
const SCOPE_TEXT_MAX: usize = usize::MAX;

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
    let actor = p.actors("actor", actor);
    let audience = body.take("audience", p);
    let audience = p.identifiers("audience", audience);
    let authorization_details = body.take("authorization_details", p);
    let authorization_details = p.authorization_details("authorization_details", authorization_details);
    let cnf = body.take("cnf", p);
    let cnf = p.confirmation("cnf", cnf);
    let binding_message = body.take("binding_message", p);
    let binding_message = p.number_shown("binding_message", binding_message);
    let expires_in = body.take("expires_in", p);
    let requested_lifetime = p.lifetime("expires_in", expires_in);
    let reason = body.take("reason", p);
    let reason = p.reason("reason", reason);
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
    problems.scopes("scope", ScopeSet::parse(&scope))
}

/// Says an answer.
pub fn render(answer: &Answer) -> Rendered {
    match answer {
        Answer::Granted(granted) => Rendered::json(200, &granted_body(granted)),
        Answer::Observed(observed) => Rendered::json(200, &observed_body(observed)),
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
    if let Some(rest) = &granted.pending {
        body["pending"] = json!({
            "request_id": rest.request_id, "scope": rest.scopes.to_string(), "interval": rest.interval,
            "status_url": rest.status_url,
        });
    }
    body
}

/// No grant and no receipt stand behind it; without a wish the server's own lifetime holds.
fn observed_body(observed: &Observed) -> Value {
    let mut body = json!({ "decision": "granted", "scope": observed.scopes.to_string(), "observed": true });
    if let (Some(lifetime), Some(at)) = (observed.lifetime, observed.expires_at) {
        body["expires_in"] = json!(lifetime);
        body["expires_at"] = json!(instant(at));
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
