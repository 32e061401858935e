//! What must hold for a condition to be true, told without evaluating it: a rule whose guard fails is skipped.
//!
//! A guard is derived from the condition once. It may say "perhaps" as often as it likes, but where it says
//! "surely false", plain evaluation gives exactly `false`, never an error. That is so because
//!
//! 1. an atom is only made of what always has a value and always is a text: `scope`, `hook`, `grant_type`, the
//!    members of `client` and `subject`; compared with texts that are written out. CEL answers it with `true` or
//!    `false` and nothing else. `has(context.key)` is `false`, and nothing else, where the key is absent.
//! 2. `a && b` is exactly `false` as soon as one side is: CEL absorbs whatever the other one is, an error, or no
//!    boolean at all. So a conjunction is surely false where any of its parts is.
//! 3. `a || b` is exactly `false` where both sides are. So a disjunction is surely false where all of its parts are.
//! 4. Everything else is "perhaps": other calls, macros, and what stands inside of them (where `scope` may be
//!    another name), and an atom that no value is known for.
//!
//! `tests/guards.rs` compares both readings on random policies and requests.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of CEL grow without us: what is not known is perhaps")]

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Expression;

use crate::domain::token_request::TokenRequest;

/// What must hold for a condition to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing that could be told cheaply.
    Perhaps,
    /// Nothing can make it true.
    Never,
    /// A text passes a test, or (`wanted` false) fails it.
    Text {
        /// Which text.
        fact: Fact,
        /// The test.
        test: Test,
        /// Its result in a request for which the condition is true.
        wanted: bool,
    },
    /// `context` has this key.
    Has(String),
    /// All of these.
    All(Vec<Guard>),
    /// At least one of these.
    AnyOf(Vec<Guard>),
}

/// The texts that every token request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// The scope that is judged.
    Scope,
    /// The hook.
    Hook,
    /// The grant type.
    GrantType,
    /// The client's identifier.
    ClientId,
    /// The client's name, or nothing.
    ClientName,
    /// `user` or `client`.
    SubjectKind,
    /// The subject's identifier.
    SubjectId,
    /// The subject's address, or nothing.
    SubjectEmail,
}

/// What a text is tested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// It is one of these.
    OneOf(BTreeSet<String>),
    /// It begins like this.
    StartsWith(String),
    /// It ends like this.
    EndsWith(String),
}

/// What is known when a guard is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The scope, where one is known.
    pub scope: Option<&'a str>,
    /// The token request, where one is known.
    pub asked: Option<&'a TokenRequest>,
}

impl Guard {
    /// The guard of a condition.
    pub(super) fn of(expression: &Expression) -> Self {
        match &expression.expr {
            Expr::Call(call) => call_guard(call),
            Expr::Literal(LiteralValue::Boolean(truth)) if !truth.inner() => Self::Never,
            Expr::Select(select) if select.test => match &select.operand.expr {
                Expr::Ident(name) if name == "context" => Self::Has(select.field.clone()),
                _ => Self::Perhaps,
            },
            _ => Self::Perhaps,
        }
    }

    /// Whether the condition is exactly `false`, whatever is not known.
    pub(super) fn is_surely_false(&self, known: Known<'_>) -> bool {
        match self {
            Self::Perhaps => false,
            Self::Never => true,
            Self::Text { fact, test, wanted } => fact.text(known).is_some_and(|text| test.passes(text) != *wanted),
            Self::Has(key) => known.asked.is_some_and(|asked| !asked.context.contains_key(key)),
            Self::All(parts) => parts.iter().any(|part| part.is_surely_false(known)),
            Self::AnyOf(parts) => parts.iter().all(|part| part.is_surely_false(known)),
        }
    }

    /// The only scopes for which the condition can be true, where they can be counted.
    pub(super) fn scopes(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Never => Some(BTreeSet::new()),
            Self::Text { fact: Fact::Scope, test: Test::OneOf(scopes), wanted: true } => {
                Some(scopes.iter().map(String::as_str).collect())
            }
            Self::Perhaps | Self::Text { .. } | Self::Has(_) => None,
            Self::All(parts) => {
                let mut counted = parts.iter().filter_map(Self::scopes);
                let first = counted.next()?;
                Some(counted.fold(first, |left, more| left.intersection(&more).copied().collect()))
            }
            Self::AnyOf(parts) => {
                let each: Option<Vec<BTreeSet<&str>>> = parts.iter().map(Self::scopes).collect();
                Some(each?.into_iter().flatten().collect())
            }
        }
    }
}

impl Fact {
    fn text(self, known: Known<'_>) -> Option<&str> {
        if self == Self::Scope {
            return known.scope;
        }
        let asked = known.asked?;
        Some(match self {
            Self::Scope => return known.scope,
            Self::Hook => asked.hook.as_str(),
            Self::GrantType => &asked.grant_type,
            Self::ClientId => &asked.client.id,
            Self::ClientName => asked.client.name.as_deref().unwrap_or_default(),
            Self::SubjectKind => asked.subject.kind.as_str(),
            Self::SubjectId => &asked.subject.id,
            Self::SubjectEmail => asked.subject.email.as_deref().unwrap_or_default(),
        })
    }

    /// The fact that an expression reads, if it is one.
    fn read_by(expression: &Expression) -> Option<Self> {
        match &expression.expr {
            Expr::Ident(name) => match name.as_str() {
                "scope" => Some(Self::Scope),
                "hook" => Some(Self::Hook),
                "grant_type" => Some(Self::GrantType),
                _ => None,
            },
            Expr::Select(SelectExpr { operand, field, test: false }) => match (&operand.expr, field.as_str()) {
                (Expr::Ident(name), "id") if name == "client" => Some(Self::ClientId),
                (Expr::Ident(name), "name") if name == "client" => Some(Self::ClientName),
                (Expr::Ident(name), "kind") if name == "subject" => Some(Self::SubjectKind),
                (Expr::Ident(name), "id") if name == "subject" => Some(Self::SubjectId),
                (Expr::Ident(name), "email") if name == "subject" => Some(Self::SubjectEmail),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Test {
    pub(super) fn passes(&self, text: &str) -> bool {
        match self {
            Self::OneOf(all) => all.contains(text),
            Self::StartsWith(start) => text.starts_with(start.as_str()),
            Self::EndsWith(end) => text.ends_with(end.as_str()),
        }
    }
}

fn call_guard(call: &CallExpr) -> Guard {
    match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
        (operators::LOGICAL_AND, None, [left, right]) => Guard::All(joined([left, right], operators::LOGICAL_AND)),
        (operators::LOGICAL_OR, None, [left, right]) => Guard::AnyOf(joined([left, right], operators::LOGICAL_OR)),
        (operators::LOGICAL_NOT, None, [inner]) => match Guard::of(inner) {
            Guard::Text { fact, test, wanted } => Guard::Text { fact, test, wanted: !wanted },
            // What is surely false inside is surely true outside, and that is no guard.
            Guard::Perhaps | Guard::Never | Guard::Has(_) | Guard::All(_) | Guard::AnyOf(_) => Guard::Perhaps,
        },
        (operators::EQUALS, None, [left, right]) => equality(left, right, true),
        (operators::NOT_EQUALS, None, [left, right]) => equality(left, right, false),
        (operators::IN, None, [left, right]) => one_of(left, right).unwrap_or(Guard::Perhaps),
        ("startsWith", Some(target), [start]) => affix(target, start, Test::StartsWith),
        ("endsWith", Some(target), [end]) => affix(target, end, Test::EndsWith),
        _ => Guard::Perhaps,
    }
}

/// The operands of a chain of the same operator, as guards.
fn joined(operands: [&Expression; 2], operator: &str) -> Vec<Guard> {
    let chained = |operand: &Expression| match &operand.expr {
        Expr::Call(call) if call.func_name == operator && call.target.is_none() => match call.args.as_slice() {
            [left, right] => joined([left, right], operator),
            _ => vec![Guard::Perhaps],
        },
        _ => vec![Guard::of(operand)],
    };
    operands.into_iter().flat_map(chained).collect()
}

fn equality(left: &Expression, right: &Expression, wanted: bool) -> Guard {
    let sides = [(left, right), (right, left)];
    let found = sides.into_iter().find_map(|(fact, text)| Some((Fact::read_by(fact)?, literal(text)?)));
    match found {
        Some((fact, text)) => Guard::Text { fact, test: Test::OneOf([text].into()), wanted },
        None => Guard::Perhaps,
    }
}

fn one_of(left: &Expression, right: &Expression) -> Option<Guard> {
    let Expr::List(list) = &right.expr else { return None };
    let texts: Option<BTreeSet<String>> = list.elements.iter().map(literal).collect();
    Some(Guard::Text { fact: Fact::read_by(left)?, test: Test::OneOf(texts?), wanted: true })
}

fn affix(target: &Expression, text: &Expression, test: fn(String) -> Test) -> Guard {
    match (Fact::read_by(target), literal(text)) {
        (Some(fact), Some(text)) => Guard::Text { fact, test: test(text), wanted: true },
        _ => Guard::Perhaps,
    }
}

fn literal(expression: &Expression) -> Option<String> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}
