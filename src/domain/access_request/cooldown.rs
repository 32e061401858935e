//! What is refused without asking, after a denial or a revocation.

use crate::domain::Timestamp;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{SubjectKind, TokenRequest};

/// A scope that is refused for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// The hook.
    pub hook: String,
    /// The client.
    pub client: String,
    /// The subject's kind.
    pub subject_kind: SubjectKind,
    /// The subject.
    pub subject: String,
    /// The audience; empty where none was named.
    pub audience: String,
    /// The scope; empty where none was named.
    pub scope: String,
    /// Until when.
    pub until: Timestamp,
    /// Why: `denied` or `revoked`.
    pub cause: &'static str,
}

impl Cooldown {
    /// One for each scope at each audience.
    pub fn of(asked: &TokenRequest, scopes: &ScopeSet, until: Timestamp, cause: &'static str) -> Vec<Self> {
        let mut all = Vec::new();
        for audience in audiences(asked) {
            for scope in scopes.judged() {
                all.push(Self {
                    hook: asked.hook.to_string(),
                    client: asked.client.id.clone(),
                    subject_kind: asked.subject.kind,
                    subject: asked.subject.id.clone(),
                    audience: audience.clone(),
                    scope: scope.into(),
                    until,
                    cause,
                });
            }
        }
        all
    }
}

/// The audiences of a token request, or the empty one where none was named.
pub fn audiences(asked: &TokenRequest) -> Vec<String> {
    if asked.audience.is_empty() { vec![String::new()] } else { asked.audience.iter().cloned().collect() }
}
