//! AuthZEN's doors: the Authorization API 1.0 (`evaluation` and `evaluations`), spoken as its profile for OAuth 2.0
//! token issuance asks (Draft 1), and the metadata that says where they are.
//!
//! One call is one token. Its evaluations are three kinds of question about it:
//!
//! | question | resource | action | true when |
//! | --- | --- | --- | --- |
//! | the **gate** | `audience` | `issue:<token type>:<grant>` | a scope is granted, or none was asked for |
//! | a **scope** | `audience` | the scope, verbatim | it is granted |
//! | a **detail** | the type of an RFC 9396 entry | an action of it | the gate is true: details are not narrowed |
//!
//! The first `true` carries what shapes the token: `context.issuance` with `granted_scope` and `token_lifetime` as
//! ceilings, `context.approval` and the receipt. *Pending* is a gate that is `false` with `context.access_request`.
//! Whatever could be read is answered with a 200; a 4xx or 5xx is about the call as a whole and holds a message.

mod details;
mod parse;
mod render;
mod token;

pub use parse::{Error, Parsed, parse_evaluation, parse_evaluations};
pub use render::{message, render, render_error, unauthenticated};

use axum::http::HeaderMap;
use serde_json::json;

use crate::domain::scope::{Scope, ScopeSet};
use crate::door::Rendered;

/// The header that a caller recognises its call by.
pub const REQUEST_ID: &str = "x-request-id";
/// The most characters of it that are sent back.
const REQUEST_ID_MAX: usize = 1_000;
/// What the metadata says we understand.
const TOKEN_ISSUANCE: &str = "urn:openid:authzen:capability:token-issuance";

/// What the answer needs of the question: what was asked at each place, and how to go through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    shape: Shape,
    asked: Vec<Asked>,
    scopes: ScopeSet,
}

/// How the answer is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One decision.
    Single,
    /// A list of decisions.
    Batch(Semantic),
}

/// What `options.evaluations_semantic` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Semantic {
    /// All decisions.
    ExecuteAll,
    /// Up to the first `false`.
    DenyOnFirstDeny,
    /// Up to the first `true`.
    PermitOnFirstPermit,
}

/// What one evaluation asks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Gate,
    Scope(Scope),
    Detail,
}

/// The same answer with the caller's `X-Request-ID`, where it sent one that can be sent back. For every answer,
/// errors included.
#[must_use]
pub fn echo_request_id(answer: Rendered, headers: &HeaderMap) -> Rendered {
    let sent = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match sent.filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len())) {
        Some(id) => answer.header(REQUEST_ID, id),
        None => answer,
    }
}

/// `/.well-known/authzen-configuration`: who we are, where to ask, what we understand.
pub fn metadata(public_url: &str) -> Rendered {
    let base = public_url.trim_end_matches('/');
    let body = json!({
        "policy_decision_point": public_url,
        "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        "capabilities": [TOKEN_ISSUANCE],
    });
    Rendered::json(200, &body)
}

#[cfg(test)]
mod tests;
