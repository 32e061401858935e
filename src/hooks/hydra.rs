//! Ory Hydra's token hook (`oauth2.token_hook`), and its older refresh hook, which sends another body.
//!
//! Hydra calls before it issues any token and allows two answers: yes, perhaps with more claims, or 403. It calls
//! again on a 429 or a 5xx, and makes a 500 of everything else, so once a call is authenticated everything that is
//! not a grant is a 403 without a body: malformed, pending, denied, too much, or a store that does not answer.
//!
//! A yes *replaces* the extra claims that Hydra had, so they are carried from `parse` to `render` and sent back as
//! they came, with `approval` added: `{id, scope, expires_at}`, for resource servers that want to look.
//!
//! Hydra sends a `jwt-bearer` assertion along. It is a credential: nothing in here reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::domain::ids::HookName;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use crate::door::{Answer, Granted, ParseError, Problem, Problems, Rendered, Verified};

/// How Go writes a time that was never set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// The claim that says which grant a token was issued under.
const APPROVAL: &str = "approval";

/// A call of Hydra, read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What is asked.
    pub request: TokenRequest,
    /// What the answer needs.
    pub echo: Echo,
}

/// Claims in the words in which they came: not even a number is written in another way when they go back.
type Claims = BTreeMap<String, Box<RawValue>>;

/// What came in and must go out again with a yes.
#[derive(Clone, Default)]
pub struct Echo {
    access_token: Claims,
    id_token: Claims,
    would_issue: ScopeSet,
}

/// Claims may hold what is nobody else's business: only their names are printed.
impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echo")
            .field("access_token", &self.access_token.keys())
            .field("id_token", &self.id_token.keys())
            .field("would_issue", &self.would_issue)
            .finish()
    }
}

/// Both bodies in one: the token hook has `request`, the refresh hook `requester` and the members beside it.
#[derive(Deserialize)]
struct Body {
    session: Option<Session>,
    request: Option<Request>,
    requester: Option<Request>,
    subject: Option<String>,
}

#[derive(Deserialize, Default)]
struct Session {
    id_token: Option<IdToken>,
    extra: Option<Claims>,
    consent_challenge: Option<String>,
}

#[derive(Deserialize, Default)]
struct IdToken {
    id_token_claims: Option<IdClaims>,
    subject: Option<String>,
}

#[derive(Deserialize, Default)]
struct IdClaims {
    iss: Option<String>,
    sub: Option<String>,
    auth_time: Option<String>,
    acr: Option<String>,
    amr: Option<Vec<String>>,
    ext: Option<Claims>,
}

#[derive(Deserialize)]
struct Request {
    client_id: Option<String>,
    requested_scopes: Option<Vec<String>>,
    granted_scopes: Option<Vec<String>>,
    granted_audience: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    payload: Option<Payload>,
}

/// Of the form that the client sent only this is read; `assertion` is beside it.
#[derive(Deserialize)]
struct Payload {
    grant_type: Option<Vec<String>>,
}

/// Reads a call: the body of the token hook or that of the refresh hook.
///
/// The subject is the client itself when the grant is `client_credentials` and Hydra names the client (or nobody).
/// Judged are the *granted* scopes, because those are what Hydra would put into the token: at a refresh they may be
/// fewer than were requested, and a consent app may have granted more. Where none is granted, the requested ones
/// are judged: the answer is then about more than will be issued, never about less.
///
/// # Errors
/// [`ParseError`]; [`render_error`] makes the same 403 of every one of them.
pub fn parse(call: &Verified, hook: &HookName) -> Result<Parsed, ParseError> {
    let body: Body = serde_json::from_slice(call.body()).map_err(unreadable)?;
    let mut problems = Problems::default();
    let p = &mut problems;

    let (path, asked) = match (body.request, body.requester) {
        (Some(request), _) => ("request", Some(request)),
        (None, Some(requester)) => ("requester", Some(requester)),
        (None, None) => ("request", None),
    };
    let session = body.session.unwrap_or_default();
    let id_token = session.id_token.unwrap_or_default();
    let claims = id_token.id_token_claims.unwrap_or_default();
    let Some(asked) = asked else {
        p.add(path, "is missing");
        return Err(problems.into_error());
    };

    let client_id = name(p, &format!("{path}.client_id"), asked.client_id.clone());
    let grant_type = name(p, &format!("{path}.grant_types"), grant_type(&asked, path));
    let sub = [id_token.subject, body.subject, claims.sub.clone()].into_iter().find_map(said);
    let scopes = scopes(p, path, &asked);
    let audience = audience(p, path, asked.granted_audience);
    let (Some(client_id), Some(grant_type)) = (client_id, grant_type) else { return Err(problems.into_error()) };
    let subject = subject(p, sub, email(&claims), &client_id, &grant_type);
    let (true, Some(scopes), Some(subject)) = (problems.is_empty(), scopes, subject) else {
        return Err(problems.into_error());
    };

    let context = context(&claims, said(session.consent_challenge));
    let echo = Echo {
        access_token: session.extra.unwrap_or_default(),
        id_token: claims.ext.unwrap_or_default(),
        would_issue: scopes.clone(),
    };
    let request = TokenRequest {
        hook: hook.clone(),
        issuer: said(claims.iss),
        grant_type,
        client: Client { id: client_id, name: None },
        subject,
        actor: Vec::new(),
        scopes,
        audience,
        authorization_details: Vec::new(),
        cnf: None,
        binding_message: None,
        requested_lifetime: None,
        reason: None,
        context,
    };
    Ok(Parsed { request, echo })
}

/// Only the place is told: the parser's own words may quote what it found, and an assertion may be there.
fn unreadable(error: serde_json::Error) -> ParseError {
    let says = format!("is not what Hydra sends (line {}, column {})", error.line(), error.column());
    ParseError::Malformed(vec![Problem { member: "body".to_owned(), says }])
}

/// Go has no absent text: an empty one says nothing.
fn said(text: impl Into<Option<String>>) -> Option<String> {
    text.into().filter(|text| !text.is_empty())
}

fn name(problems: &mut Problems, member: &str, text: Option<String>) -> Option<String> {
    let value = problems.required(member, said(text).map(Value::String));
    problems.identifier(member, value)
}

fn grant_type(asked: &Request, path: &str) -> Option<String> {
    let form = asked.payload.as_ref().and_then(|payload| payload.grant_type.as_ref());
    let named = [asked.grant_types.as_ref(), form].into_iter().flatten().find_map(|all| all.first().cloned());
    // The older hook is called at a refresh and at nothing else.
    named.or_else(|| (path == "requester").then(|| "refresh_token".to_owned()))
}

fn scopes(problems: &mut Problems, path: &str, asked: &Request) -> Option<ScopeSet> {
    let named = |all: &Option<Vec<String>>| -> Vec<String> {
        all.iter().flatten().filter(|scope| !scope.is_empty()).cloned().collect()
    };
    let granted = named(&asked.granted_scopes);
    let (member, would_issue) = match granted.is_empty() {
        false => ("granted_scopes", granted),
        true => ("requested_scopes", named(&asked.requested_scopes)),
    };
    let collected = ScopeSet::collect(would_issue.iter().map(String::as_str));
    problems.scopes(&format!("{path}.{member}"), collected)
}

fn audience(problems: &mut Problems, path: &str, named: Option<Vec<String>>) -> BTreeSet<String> {
    let member = format!("{path}.granted_audience");
    let named = named.unwrap_or_default().into_iter().filter(|audience| !audience.is_empty());
    named.filter_map(|audience| problems.identifier(&member, Some(Value::String(audience)))).collect()
}

fn subject(
    problems: &mut Problems,
    sub: Option<String>,
    email: Option<String>,
    client_id: &str,
    grant_type: &str,
) -> Option<Subject> {
    let own_behalf = grant_type == "client_credentials" && sub.as_deref().is_none_or(|sub| sub == client_id);
    if own_behalf {
        return Some(Subject { kind: SubjectKind::Client, id: client_id.to_owned(), email: None });
    }
    let id = name(problems, "session.id_token.subject", sub)?;
    Some(Subject { kind: SubjectKind::User, id, email })
}

/// The address in the ID token, if the claim beside it says that it was confirmed.
fn email(claims: &IdClaims) -> Option<String> {
    let ext = claims.ext.as_ref()?;
    let confirmed: bool = serde_json::from_str(ext.get("email_verified")?.get()).ok()?;
    let email: String = serde_json::from_str(ext.get("email")?.get()).ok()?;
    (confirmed && email.contains('@')).then_some(email)
}

fn context(claims: &IdClaims, consent: Option<String>) -> BTreeMap<String, Value> {
    let mut context = BTreeMap::new();
    let mut note = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            context.insert(name.to_owned(), value);
        }
    };
    note("acr", said(claims.acr.clone()).map(Value::String));
    note("amr", claims.amr.clone().filter(|amr| !amr.is_empty()).map(|amr| json!(amr)));
    note("auth_time", said(claims.auth_time.clone()).filter(|time| time != NO_TIME).map(Value::String));
    note("consent_request_id", consent.map(Value::String));
    context
}

/// Says an answer: a grant of all that Hydra would issue is a 200 with the claims, everything else a bare 403.
pub fn render(answer: &Answer, echo: &Echo) -> Rendered {
    match answer {
        // A grant of less cannot be said here: Hydra would issue all of it.
        Answer::Granted(granted) if echo.would_issue.is_subset(&granted.scopes) => match yes(granted, echo) {
            Ok(session) => Rendered::json(200, &json_session(&session)),
            Err(_) => Rendered::empty(403),
        },
        // An empty 204 leaves the session as it is: issued as without us.
        Answer::Observed(observed) if echo.would_issue.is_subset(&observed.scopes) => Rendered::empty(204),
        Answer::Granted(_)
        | Answer::Observed(_)
        | Answer::Pending(_)
        | Answer::Denied(_)
        | Answer::TooMany { .. }
        | Answer::Conflict
        | Answer::Unavailable { .. } => Rendered::empty(403),
    }
}

/// Says that a call could not be read, or asks for too much: the same bare 403.
pub fn render_error(error: &ParseError) -> Rendered {
    match error {
        ParseError::Malformed(_) | ParseError::Refused(_) => Rendered::empty(403),
    }
}

#[derive(Serialize)]
struct SessionClaims<'a> {
    access_token: Claims,
    id_token: &'a Claims,
}

fn yes<'a>(granted: &Granted, echo: &'a Echo) -> Result<SessionClaims<'a>, serde_json::Error> {
    let approval = to_raw_value(&json!({
        "id": granted.grant_id,
        "scope": granted.scopes.to_string(),
        "expires_at": granted.grant_expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    }))?;
    let mut access_token = echo.access_token.clone();
    access_token.insert(APPROVAL.to_owned(), approval);
    Ok(SessionClaims { access_token, id_token: &echo.id_token })
}

fn json_session<'a>(session: &'a SessionClaims<'a>) -> BTreeMap<&'static str, &'a SessionClaims<'a>> {
    BTreeMap::from([("session", session)])
}

#[cfg(test)]
mod tests;
