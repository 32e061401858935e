//! Reads the body of a call: questions that are each complete, whatever they inherit.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::token;
use super::{Echo, Semantic, Shape};
use crate::domain::ids::HookName;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::TokenRequest;
use crate::door::{Body, ParseError, Problem, Problems, Verified};

/// The most evaluations of one call: the most scopes and details there may be, at several audiences.
const EVALUATIONS_MAX: usize = 1_000;

/// A call, read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What is asked.
    pub request: TokenRequest,
    /// What the answer needs.
    pub echo: Echo,
}

/// Why a call is not a token request that could be judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// It does not follow the contract: a 400.
    #[error("{}", ParseError::in_words(.0))]
    Malformed(Vec<Problem>),
    /// It does, and asks for what cannot be granted here: every decision is `false`.
    #[error("{says}")]
    Refused {
        /// Why, in words.
        says: String,
        /// What the answer needs.
        echo: Echo,
    },
}

/// Reads the body of `POST /access/v1/evaluation`: one question.
///
/// A gate on its own asks for the scopes in `context.scope`, or for none.
///
/// # Errors
/// [`enum@Error`].
pub fn parse_evaluation(call: &Verified, hook: &HookName) -> Result<Parsed, Error> {
    read(call, hook, false)
}

/// Reads the body of `POST /access/v1/evaluations`: several questions about one token. Without `evaluations`, or
/// with none in it, the body is one question, as the standard says.
///
/// Every question must be about the same subject, in the same context, for the same grant, and each audience must
/// be asked for the same scopes: what people are shown, and what is granted, is one token.
///
/// # Errors
/// [`enum@Error`].
pub fn parse_evaluations(call: &Verified, hook: &HookName) -> Result<Parsed, Error> {
    read(call, hook, true)
}

fn read(call: &Verified, hook: &HookName, several: bool) -> Result<Parsed, Error> {
    let mut body = Body::read(call.body()).map_err(|error| wholly_malformed(error, ""))?;
    let mut problems = Problems::default();
    let batch = questions(&mut body, &mut problems, several);
    if problems.malformed() {
        return Err(wholly_malformed(problems.into_error(), "the evaluations could not be read"));
    }
    let sorted = token::sort(&batch.questions, &mut problems);
    let asked = sorted.asked.clone();
    let echo = |scopes: ScopeSet| Echo { shape: batch.shape, asked, scopes };
    match token::request(hook, &batch.questions, sorted, &mut problems) {
        Some(request) if problems.is_empty() => {
            let echo = echo(request.scopes.clone());
            Ok(Parsed { request, echo })
        }
        Some(_) | None => match problems.into_error() {
            ParseError::Malformed(problems) => Err(Error::Malformed(problems)),
            ParseError::Refused(says) => Err(Error::Refused { says, echo: echo(ScopeSet::default()) }),
        },
    }
}

/// Before the questions are known there is nothing to answer one by one.
fn wholly_malformed(error: ParseError, otherwise: &str) -> Error {
    match error {
        ParseError::Malformed(problems) => Error::Malformed(problems),
        ParseError::Refused(says) => {
            Error::Malformed(vec![Problem { member: "body".to_owned(), says: format!("{otherwise}: {says}") }])
        }
    }
}

/// The questions of a call, each complete.
struct Batch {
    shape: Shape,
    questions: Vec<Question>,
}

/// One evaluation with what it inherits. The paths say where each part stands in the body.
pub(super) struct Question {
    pub(super) path: String,
    pub(super) subject: Party,
    pub(super) subject_path: String,
    pub(super) action: String,
    pub(super) resource: Party,
    pub(super) context: Map<String, Value>,
    pub(super) context_path: String,
}

/// A subject or a resource.
#[derive(Clone, PartialEq)]
pub(super) struct Party {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) properties: Map<String, Value>,
}

/// What a body or an evaluation says itself.
struct Said {
    subject: Option<Party>,
    action: Option<String>,
    resource: Option<Party>,
    context: Option<Map<String, Value>>,
}

fn questions(body: &mut Body<'_>, problems: &mut Problems, several: bool) -> Batch {
    let mut top = |name: &str| body.take(name, problems);
    let members = ["subject", "action", "resource", "context"].map(|name| (name, top(name)));
    let (evaluations, options) = if several { (top("evaluations"), top("options")) } else { (None, None) };
    let defaults = said(problems, "", members.into_iter().collect());
    let semantic = semantic(problems, options);
    let items = problems.each("evaluations", evaluations, EVALUATIONS_MAX, |problems, path, item| {
        let mut item = problems.object(path, Some(item))?;
        let members = ["subject", "action", "resource", "context"];
        let members = members.into_iter().map(|name| (name, item.remove(name).filter(|value| !value.is_null())));
        let path = format!("{path}.");
        let said = said(problems, &path, members.collect());
        Some((path, said))
    });
    if items.is_empty() {
        let questions = complete(problems, String::new(), defaults, None).into_iter().collect();
        return Batch { shape: Shape::Single, questions };
    }
    let items = items.into_iter();
    let questions = items.filter_map(|(path, said)| complete(problems, path, said, Some(&defaults))).collect();
    Batch { shape: Shape::Batch(semantic), questions }
}

fn said(problems: &mut Problems, path: &str, mut members: BTreeMap<&str, Option<Value>>) -> Said {
    let mut take = |name: &str| members.remove(name).flatten();
    let (subject, action, resource, context) = (take("subject"), take("action"), take("resource"), take("context"));
    Said {
        subject: party(problems, &format!("{path}subject"), subject),
        action: action_name(problems, &format!("{path}action"), action),
        resource: party(problems, &format!("{path}resource"), resource),
        context: problems.object(&format!("{path}context"), context),
    }
}

fn party(problems: &mut Problems, path: &str, value: Option<Value>) -> Option<Party> {
    let mut members = problems.object(path, value)?;
    let mut text = |name: &str| {
        let member = format!("{path}.{name}");
        let value = problems.required(&member, members.remove(name).filter(|value| !value.is_null()));
        problems.identifier(&member, value)
    };
    let (kind, id) = (text("type"), text("id"));
    let properties = members.remove("properties").filter(|value| !value.is_null());
    let properties = problems.object(&format!("{path}.properties"), properties).unwrap_or_default();
    Some(Party { kind: kind?, id: id?, properties })
}

fn action_name(problems: &mut Problems, path: &str, value: Option<Value>) -> Option<String> {
    let mut members = problems.object(path, value)?;
    let member = format!("{path}.name");
    let name = problems.required(&member, members.remove("name").filter(|value| !value.is_null()));
    problems.identifier(&member, name)
}

fn semantic(problems: &mut Problems, options: Option<Value>) -> Semantic {
    let member = "options.evaluations_semantic";
    let named = problems.object("options", options).and_then(|mut options| options.remove("evaluations_semantic"));
    let named = problems.text(member, named.filter(|value| !value.is_null()), 100);
    match named.as_deref() {
        None | Some("execute_all") => Semantic::ExecuteAll,
        Some("deny_on_first_deny") => Semantic::DenyOnFirstDeny,
        Some("permit_on_first_permit") => Semantic::PermitOnFirstPermit,
        Some(_) => {
            problems.add(member, "must be execute_all, deny_on_first_deny or permit_on_first_permit");
            Semantic::ExecuteAll
        }
    }
}

/// An evaluation with what it inherits from the top level.
fn complete(problems: &mut Problems, path: String, said: Said, top: Option<&Said>) -> Option<Question> {
    // What is malformed was named already and must not be called missing as well.
    let sound = !problems.malformed();
    let mut missing = |name: &str, there: bool| {
        if !there && sound {
            problems.add(format!("{path}{name}"), "is missing");
        }
    };
    let own = |there: bool, name: &str| if there { format!("{path}{name}") } else { name.to_owned() };
    let subject_path = own(said.subject.is_some(), "subject");
    let context_path = own(said.context.is_some(), "context");
    let subject = said.subject.or_else(|| top?.subject.clone());
    let action = said.action.or_else(|| top?.action.clone());
    let resource = said.resource.or_else(|| top?.resource.clone());
    missing("subject", subject.is_some());
    missing("action", action.is_some());
    missing("resource", resource.is_some());
    let context = said.context.or_else(|| top?.context.clone()).unwrap_or_default();
    let (subject, action, resource) = (subject?, action?, resource?);
    Some(Question { path, subject, subject_path, action, resource, context, context_path })
}
