//! What a hook call asks for, once its dialect has read it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hashing::{canonical_json, exact_json, sha256_hex};
use super::identity::Principal;
use super::ids::HookName;
use super::scope::ScopeSet;

/// A token request: who asks, through which client, for what, why, for how long.
///
/// `context` holds only what the authorization server itself vouches for; `reason` and
/// `binding_message` are claims of the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The hook that was called. It comes from the authenticated address, never from the body.
    pub hook: HookName,
    /// The issuer identifier of the authorization server, where it sends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The OAuth 2.0 grant type, such as `client_credentials`.
    pub grant_type: String,
    /// The OAuth client.
    pub client: Client,
    /// Whom the token will speak for.
    pub subject: Subject,
    /// The actor chain (RFC 8693 `act`), nearest first: identifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actor: Vec<String>,
    /// The scopes asked for.
    pub scopes: ScopeSet,
    /// The audiences or resource indicators (RFC 8707).
    #[serde(default)]
    pub audience: BTreeSet<String>,
    /// RFC 9396 authorization details, as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<Value>,
    /// The confirmation of a sender-constrained token (RFC 7800 `cnf`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Value>,
    /// The number that the client shows its user (CIBA `binding_message`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// How long access is wanted, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_lifetime: Option<u64>,
    /// Why, in the client's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the authorization server vouches for: `ip`, `acr`, `amr` and more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
}

/// An OAuth client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// A name for people, where the server sends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whom a token speaks for. A client is another subject than a person of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A person, or the client itself.
    pub kind: SubjectKind,
    /// The identifier at the authorization server.
    pub id: String,
    /// The e-mail address, where the server vouches for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// What kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A person.
    User,
    /// The client itself (no subject was named).
    Client,
}

impl SubjectKind {
    /// The word used in stores, policies and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
        }
    }
}

/// SHA-256 in hexadecimal over what makes two token requests the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// SHA-256 in hexadecimal over what a grant must share with a token request to cover it: everything of
/// the fingerprint but the scopes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoverageKey(pub String);

impl CoverageKey {
    /// What a grant is found by that was asked for ahead, while it belongs to no call.
    pub fn ahead(asked: &TokenRequest) -> Self {
        Self::ahead_for(asked, &asked.subject.id)
    }

    /// The keys under which something asked for ahead may wait for this call: one for each name of its subject.
    pub fn waiting_for(call: &TokenRequest) -> Vec<Self> {
        let names = [Some(call.subject.id.as_str()), call.subject.email.as_deref()];
        let mut keys: Vec<Self> = names.into_iter().flatten().map(|name| Self::ahead_for(call, name)).collect();
        keys.dedup();
        keys
    }

    fn ahead_for(asked: &TokenRequest, subject: &str) -> Self {
        let subject = Principal::new(subject);
        Self(sha256_hex(
            canonical_json(&("ahead", 1, &asked.client.id, asked.subject.kind, subject.as_str(), &asked.audience))
                .as_bytes(),
        ))
    }
}

/// The members that decide sameness, borrowed in the one order that both hashes use.
#[derive(Serialize)]
struct Essence<'a> {
    v: u8,
    hook: &'a HookName,
    client: &'a str,
    subject: (SubjectKind, &'a str),
    actor: &'a [String],
    audience: &'a BTreeSet<String>,
    authorization_details: Vec<String>,
    cnf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a ScopeSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding_message: Option<&'a str>,
}

impl TokenRequest {
    fn essence(&self) -> Essence<'_> {
        let mut details: Vec<String> = self.authorization_details.iter().map(exact_json).collect();
        details.sort();
        Essence {
            v: 1,
            hook: &self.hook,
            client: &self.client.id,
            subject: (self.subject.kind, &self.subject.id),
            actor: &self.actor,
            audience: &self.audience,
            authorization_details: details,
            cnf: self.cnf.as_ref().map(exact_json),
            scopes: None,
            binding_message: None,
        }
    }

    /// The fingerprint of this token request. Reason, lifetime and address are not part of it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hash(&Essence { scopes: Some(&self.scopes), ..self.essence() }))
    }

    /// What a *pending* access request is found by: the fingerprint, and the number that the client shows.
    pub fn pending_key(&self) -> Fingerprint {
        let binding_message = self.binding_message.as_deref();
        Fingerprint(hash(&Essence { scopes: Some(&self.scopes), binding_message, ..self.essence() }))
    }

    /// What a grant that covers this token request is found by.
    pub fn coverage_key(&self) -> CoverageKey {
        CoverageKey(hash(&self.essence()))
    }

    /// Whether both would be covered by the same grants, told without hashing: where this says no, the keys may
    /// still be equal (authorization details in another order, say).
    pub fn is_plainly_alike(&self, other: &Self) -> bool {
        self.hook == other.hook
            && self.client.id == other.client.id
            && (self.subject.kind, &self.subject.id) == (other.subject.kind, &other.subject.id)
            && self.actor == other.actor
            && self.audience == other.audience
            && self.authorization_details == other.authorization_details
            && self.cnf == other.cnf
    }

    /// Whether its client shows a number that somebody could type.
    pub fn shows_a_number(&self) -> bool {
        self.binding_message.as_deref().is_some_and(|number| !number.trim().is_empty())
    }

    /// Whether a hook's call is what was asked for ahead by this: the same client and subject at the same audience,
    /// and nothing besides. Which hook and which key were not known then.
    pub fn is_what_was_asked_ahead_by(&self, call: &Self) -> bool {
        let same = |a: &str, b: &str| Principal::new(a) == Principal::new(b);
        let same_person = self.subject.kind == call.subject.kind
            && (same(&self.subject.id, &call.subject.id)
                || call.subject.email.as_deref().is_some_and(|email| same(&self.subject.id, email)));
        same_person
            && self.client.id == call.client.id
            && self.audience == call.audience
            && call.actor.is_empty()
            && call.authorization_details.is_empty()
    }

    /// Refresh and token exchange carry an earlier decision on; they never open an access request.
    pub fn may_open_a_request(&self) -> bool {
        !matches!(self.grant_type.as_str(), "refresh_token" | "urn:ietf:params:oauth:grant-type:token-exchange")
    }
}

fn hash(essence: &Essence<'_>) -> String {
    sha256_hex(canonical_json(essence).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> TokenRequest {
        serde_json::from_value(json!({
            "hook": "billing", "grant_type": "client_credentials", "client": {"id": "billing-cli"},
            "subject": {"kind": "user", "id": "alice@example.com"}, "scopes": ["a", "b"], "audience": ["https://x.example"],
            "authorization_details": [{"type": "pay", "n": 1}, {"type": "see"}], "reason": "PAY-1", "requested_lifetime": 60
        }))
        .unwrap()
    }

    #[test]
    fn reason_lifetime_and_address_do_not_make_another_request() {
        let mut other = request();
        other.reason = Some("something else".to_owned());
        other.requested_lifetime = Some(3_600);
        other.context.insert("ip".to_owned(), json!("203.0.113.7"));
        other.grant_type = "authorization_code".to_owned();
        other.authorization_details.reverse();
        assert_eq!(request().fingerprint(), other.fingerprint());
        assert_eq!(request().pending_key(), other.pending_key());
    }

    #[test]
    fn everything_that_the_design_names_makes_another_request() {
        let change: [fn(&mut TokenRequest); 9] = [
            |r| r.hook = HookName::parse("other").unwrap(),
            |r| r.client.id.push('x'),
            |r| r.subject.id.push('x'),
            |r| r.subject.kind = SubjectKind::Client,
            |r| r.actor.push("agent".to_owned()),
            |r| r.scopes = ScopeSet::parse("a").unwrap(),
            |r| r.audience.clear(),
            |r| r.authorization_details.truncate(1),
            |r| r.cnf = Some(json!({"jkt": "k"})),
        ];
        for (n, change) in change.iter().enumerate() {
            let mut other = request();
            change(&mut other);
            assert_ne!(request().fingerprint(), other.fingerprint(), "change {n}");
            let same_coverage = request().coverage_key() == other.coverage_key();
            assert_eq!(request().is_plainly_alike(&other), same_coverage, "change {n}");
        }
    }

    #[test]
    fn the_number_shown_counts_while_pending_and_only_then() {
        let mut other = request();
        other.binding_message = Some("42".to_owned());
        assert_ne!(request().pending_key(), other.pending_key());
        assert_eq!(request().fingerprint(), other.fingerprint());
        assert_eq!(request().coverage_key(), other.coverage_key());
    }
}
