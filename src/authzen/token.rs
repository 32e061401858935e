//! From the questions of a call to the one token request that they are about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::parse::{Party, Question};
use super::{Asked, details};
use crate::domain::ids::HookName;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use crate::door::{LIST_MAX, Problems};

/// The most characters of a client's name.
const CLIENT_NAME_MAX: usize = 1_000;
/// The type of the resource in a gate and in a scope.
const AUDIENCE: &str = "audience";
/// The grant type of a call without a gate, which alone would name it.
const NO_GRANT_TYPE: &str = "unknown";

/// The questions by kind.
#[derive(Default)]
pub(super) struct Sorted {
    /// What each asks, in their order.
    pub(super) asked: Vec<Asked>,
    gates: BTreeSet<String>,
    grant_types: BTreeSet<String>,
    scopes_at: BTreeMap<String, BTreeSet<Scope>>,
    details: Vec<details::Cell>,
}

/// Sorts the questions.
pub(super) fn sort(questions: &[Question], problems: &mut Problems) -> Sorted {
    let mut sorted = Sorted::default();
    for question in questions {
        let (audience, member) = (question.resource.id.clone(), format!("{}action.name", question.path));
        let asked = if question.resource.kind != AUDIENCE {
            let kind = question.resource.kind.clone();
            sorted.details.push(details::Cell { kind, location: audience, action: question.action.clone() });
            Asked::Detail
        } else if let Some(rest) = question.action.strip_prefix("issue:") {
            sorted.grant_types.extend(gate(problems, &member, rest));
            sorted.gates.insert(audience);
            Asked::Gate
        } else {
            match Scope::try_from(question.action.clone()) {
                Ok(scope) => {
                    sorted.scopes_at.entry(audience).or_default().insert(scope.clone());
                    Asked::Scope(scope)
                }
                Err(error) => {
                    problems.add(member, error.to_string());
                    continue;
                }
            }
        };
        sorted.asked.push(asked);
    }
    sorted
}

/// The grant type that a gate names. A refresh or ID token comes with the access token and is gated with it; other
/// kinds of token say something else than what people are shown.
fn gate(problems: &mut Problems, member: &str, rest: &str) -> Option<String> {
    match rest.split_once(':') {
        Some(("access_token" | "refresh_token" | "id_token", grant)) if !grant.is_empty() => Some(grant_type(grant)),
        Some((kind, grant)) if !kind.is_empty() && !grant.is_empty() => {
            problems.refuse(format!("tokens of the type {kind} are not granted here"));
            Some(grant_type(grant))
        }
        Some(_) | None => {
            problems.add(member, "must be issue:<token type>:<grant type>");
            None
        }
    }
}

/// The grant type behind the profile's short name; any other name stands for itself.
fn grant_type(named: &str) -> String {
    match named {
        "token_exchange" => "urn:ietf:params:oauth:grant-type:token-exchange",
        "device_code" => "urn:ietf:params:oauth:grant-type:device_code",
        "jwt_bearer" => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "saml2_bearer" => "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "ciba" => "urn:openid:params:grant-type:ciba",
        other => other,
    }
    .to_owned()
}

/// The one token request that all questions are about; none where a problem or a refusal was noted instead.
pub(super) fn request(
    hook: &HookName,
    questions: &[Question],
    sorted: Sorted,
    problems: &mut Problems,
) -> Option<TokenRequest> {
    let (first, others) = questions.split_first()?;
    for other in others {
        let same = [("subject", other.subject == first.subject), ("context", other.context == first.context)];
        for (name, _) in same.into_iter().filter(|(_, same)| !same) {
            problems.add(format!("{}{name}", other.path), "differs from the first; one call asks for one token");
        }
    }
    let audience = audiences(&sorted, problems);
    let token = OneToken {
        subject: &first.subject,
        subject_path: &first.subject_path,
        grant_type: one_grant_type(sorted.grant_types, problems),
        scopes: sorted.scopes_at.into_values().next(),
        audience,
        cells: sorted.details,
    };
    let context = Context { path: first.context_path.clone(), members: first.context.clone() };
    with_context(hook, token, context, problems)
}

/// What the questions agree on.
struct OneToken<'a> {
    subject: &'a Party,
    subject_path: &'a str,
    grant_type: String,
    scopes: Option<BTreeSet<Scope>>,
    audience: BTreeSet<String>,
    cells: Vec<details::Cell>,
}

/// The audiences, once it is sure that all are asked for the same.
fn audiences(sorted: &Sorted, problems: &mut Problems) -> BTreeSet<String> {
    let with_scopes: BTreeSet<String> = sorted.scopes_at.keys().cloned().collect();
    let mut sets = sorted.scopes_at.values();
    let first = sets.next();
    let same_scopes = sets.all(|set| Some(set) == first);
    let same_audiences = sorted.gates.is_empty() || with_scopes.is_empty() || sorted.gates == with_scopes;
    if !same_scopes || !same_audiences {
        problems.add("evaluations", "ask for different things at different audiences; make one call for each");
    }
    if sorted.gates.is_empty() { with_scopes } else { sorted.gates.clone() }
}

fn one_grant_type(named: BTreeSet<String>, problems: &mut Problems) -> String {
    if named.len() > 1 {
        problems.add("evaluations", "name several grant types; one call asks for one token");
    }
    named.into_iter().next().unwrap_or_else(|| NO_GRANT_TYPE.to_owned())
}

/// The context of a call, taken apart member by member. What is left over is vouched for by the server.
struct Context {
    path: String,
    members: Map<String, Value>,
}

impl Context {
    fn take(&mut self, name: &str) -> (String, Option<Value>) {
        (format!("{}.{name}", self.path), self.members.remove(name).filter(|value| !value.is_null()))
    }

    /// The first of several names that is there; the others are taken away with it.
    fn take_first_of(&mut self, names: [&str; 2]) -> (String, Option<Value>) {
        let [first, second] = names.map(|name| self.take(name));
        if first.1.is_some() { first } else { second }
    }
}

fn with_context(
    hook: &HookName,
    token: OneToken<'_>,
    mut context: Context,
    problems: &mut Problems,
) -> Option<TokenRequest> {
    let p = problems;
    let (member, value) = context.take("client_id");
    let client_id = p.identifier(&member, value);
    let client_id = client_of(p, &member, token.subject, client_id);
    let (member, value) = context.take("client_name");
    let client_name = p.text(&member, value, CLIENT_NAME_MAX);
    let (member, value) = context.take("issuer");
    let issuer = p.identifier(&member, value);
    let (member, value) = context.take("scope");
    let scopes = scopes(p, &member, token.scopes, value);
    let (member, value) = context.take("actor");
    let actor = p.actors(&member, value);
    let (member, value) = context.take("authorization_details");
    let entries = p.authorization_details(&member, value);
    let authorization_details = details::merged(entries, token.cells, &token.audience);
    if authorization_details.len() > LIST_MAX {
        p.refuse(format!("more than {LIST_MAX} authorization details are asked for: ask for less"));
    }
    let (member, value) = context.take("cnf");
    let cnf = p.confirmation(&member, value);
    let (member, value) = context.take("binding_message");
    let binding_message = p.number_shown(&member, value);
    let (member, value) = context.take_first_of(["requested_lifetime", "expires_in"]);
    let requested_lifetime = p.lifetime(&member, value);
    let (member, value) = context.take_first_of(["reason", "business_justification"]);
    let reason = p.reason(&member, value);
    // An earlier approval proves nothing here, the store does; the other shapes answers, not questions.
    context.take("approval");
    context.take("issuance");
    let subject = subject_of(p, token.subject, token.subject_path);
    let (client_id, subject, scopes) = (client_id?, subject?, scopes?);
    Some(TokenRequest {
        hook: hook.clone(),
        issuer,
        grant_type: token.grant_type,
        client: Client { id: client_id, name: client_name.filter(|name| !name.trim().is_empty()) },
        subject,
        actor,
        scopes,
        audience: token.audience,
        authorization_details,
        cnf,
        binding_message,
        requested_lifetime,
        reason,
        context: context.members.into_iter().collect(),
    })
}

fn client_of(problems: &mut Problems, member: &str, subject: &Party, named: Option<String>) -> Option<String> {
    match named {
        Some(id) if subject.kind == "client" && id != subject.id => {
            problems.add(member, "differs from the subject, which is a client");
            None
        }
        None if subject.kind == "client" => Some(subject.id.clone()),
        Some(id) => Some(id),
        None => {
            problems.refuse(format!("`{member}` is missing: nobody can judge a token for an unnamed client"));
            None
        }
    }
}

fn subject_of(problems: &mut Problems, subject: &Party, path: &str) -> Option<Subject> {
    let kind = match subject.kind.as_str() {
        "user" => SubjectKind::User,
        "client" => SubjectKind::Client,
        "workload" => {
            problems.refuse("subjects of the type workload are not granted anything here");
            return None;
        }
        _ => {
            problems.add(format!("{path}.type"), "must be user or client");
            return None;
        }
    };
    let confirmed = subject.properties.get("email_verified") == Some(&Value::Bool(true));
    let email = subject.properties.get("email").and_then(Value::as_str).filter(|email| email.contains('@'));
    let email = email.filter(|_| confirmed && kind == SubjectKind::User).map(str::to_owned);
    Some(Subject { kind, id: subject.id.clone(), email })
}

/// The scopes that were asked one by one, or else those that the context names.
fn scopes(
    problems: &mut Problems,
    member: &str,
    named: Option<BTreeSet<Scope>>,
    in_context: Option<Value>,
) -> Option<ScopeSet> {
    let Some(named) = named else {
        return match in_context {
            None => Some(ScopeSet::default()),
            Some(value) => {
                let text = problems.text(member, Some(value), usize::MAX)?;
                problems.scopes(member, ScopeSet::parse(&text))
            }
        };
    };
    problems.scopes("evaluations", ScopeSet::collect(named.iter().map(Scope::as_str)))
}
