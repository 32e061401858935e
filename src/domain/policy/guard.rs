//! What must hold for a condition to be true, told without evaluating it: a rule whose guard fails is skipped.
//!
//! A guard is derived from the condition once. It may say "perhaps" as often as it likes, but where it says that
//! the condition is true or false, plain evaluation gives exactly that, never an error. That is so because
//!
//! 1. an atom is only made of what always has a value and always is a text: `scope`, `hook`, `grant_type`, the
//!    members of `client` and `subject`; compared with texts that are written out. CEL answers it with `true` or
//!    `false` and nothing else. So it does with `has(context.key)`, because `context` always is a map.
//! 2. `a && b` is exactly `false` as soon as one side is: CEL absorbs whatever the other one is, an error, or no
//!    boolean at all. It is `true` where both sides are.
//! 3. `a || b` is exactly `true` as soon as one side is, in the same way, and `false` where both sides are.
//! 4. `!a` is the opposite of what `a` is known to be.
//! 5. Everything else is "perhaps": other calls, macros, and what stands inside of them (where `scope` may be
//!    another name), and an atom that no value is known for.
//!
//! `policy/tests/guards.rs` compares both readings on random policies and requests.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of CEL grow without us: what is not known is perhaps")]

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Expression;

use crate::domain::token_request::{SubjectKind, TokenRequest};

/// What must hold for a condition to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing that could be told cheaply.
    Perhaps,
    /// A text passes a test.
    Text(Fact, Test),
    /// `context` has this key.
    Has(String),
    /// The opposite.
    Not(Box<Guard>),
    /// All of these; of none of them: true.
    All(Vec<Guard>),
    /// At least one of these; of none of them: false.
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
    /// Who asks, where only that is known of the token request.
    pub kind: Option<SubjectKind>,
}

impl<'a> Known<'a> {
    /// Nothing at all.
    pub(super) const NOTHING: Self = Self { scope: None, asked: None, kind: None };

    /// The scope, and nothing of the token request.
    pub(super) fn scope(scope: &'a str) -> Self {
        Self { scope: Some(scope), ..Self::NOTHING }
    }
}

impl Guard {
    /// The guard of a condition.
    pub(super) fn of(expression: &Expression) -> Self {
        match &expression.expr {
            Expr::Call(call) => call_guard(call),
            Expr::Literal(LiteralValue::Boolean(truth)) if *truth.inner() => Self::All(Vec::new()),
            Expr::Literal(LiteralValue::Boolean(_)) => Self::AnyOf(Vec::new()),
            Expr::Select(select) if select.test => match &select.operand.expr {
                Expr::Ident(name) if name == "context" => Self::Has(select.field.clone()),
                _ => Self::Perhaps,
            },
            _ => Self::Perhaps,
        }
    }

    /// What the condition is, where what is known decides that; none means perhaps.
    pub(super) fn truth(&self, known: Known<'_>) -> Option<bool> {
        match self {
            Self::Perhaps => None,
            Self::Text(fact, test) => fact.text(known).map(|text| test.passes(text)),
            Self::Has(key) => known.asked.map(|asked| asked.context.contains_key(key)),
            Self::Not(inner) => inner.truth(known).map(|truth| !truth),
            Self::All(parts) => decided(parts, known, false),
            Self::AnyOf(parts) => decided(parts, known, true),
        }
    }

    /// Whether the condition is exactly `false`, whatever is not known.
    pub(super) fn is_surely_false(&self, known: Known<'_>) -> bool {
        self.truth(known) == Some(false)
    }

    /// The only scopes for which the condition can be true, where they can be counted.
    pub(super) fn scopes(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Text(Fact::Scope, Test::OneOf(scopes)) => Some(scopes.iter().map(String::as_str).collect()),
            Self::Perhaps | Self::Text(..) | Self::Has(_) | Self::Not(_) => None,
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

    /// Whether `self` being true makes `other` true. Told for single texts only; "no" may mean "not known".
    pub(super) fn implies(&self, other: &Self) -> bool {
        let (Self::Text(mine, test), Self::Text(theirs, tested)) = (self, other) else { return false };
        mine == theirs
            && match (test, tested) {
                (Test::OneOf(all), _) => all.iter().all(|text| tested.passes(text)),
                (Test::StartsWith(long), Test::StartsWith(short)) => long.starts_with(short.as_str()),
                (Test::EndsWith(long), Test::EndsWith(short)) => long.ends_with(short.as_str()),
                (Test::StartsWith(_) | Test::EndsWith(_), _) => false,
            }
    }
}

/// One part that is `decisive` decides the whole; without one, all must be known.
fn decided(parts: &[Guard], known: Known<'_>, decisive: bool) -> Option<bool> {
    let mut all_known = true;
    for part in parts {
        match part.truth(known) {
            Some(truth) if truth == decisive => return Some(decisive),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!decisive)
}

impl Fact {
    fn text(self, known: Known<'_>) -> Option<&str> {
        let Some(asked) = known.asked else {
            return match self {
                Self::Scope => known.scope,
                Self::SubjectKind => known.kind.map(SubjectKind::as_str),
                _ => None,
            };
        };
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
        (operators::LOGICAL_NOT, None, [inner]) => Guard::Not(Box::new(Guard::of(inner))),
        (operators::EQUALS, None, [left, right]) => equality(left, right),
        (operators::NOT_EQUALS, None, [left, right]) => Guard::Not(Box::new(equality(left, right))),
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

fn equality(left: &Expression, right: &Expression) -> Guard {
    let sides = [(left, right), (right, left)];
    let found = sides.into_iter().find_map(|(fact, text)| Some((Fact::read_by(fact)?, literal(text)?)));
    found.map_or(Guard::Perhaps, |(fact, text)| Guard::Text(fact, Test::OneOf([text].into())))
}

fn one_of(left: &Expression, right: &Expression) -> Option<Guard> {
    let Expr::List(list) = &right.expr else { return None };
    let texts: Option<BTreeSet<String>> = list.elements.iter().map(literal).collect();
    Some(Guard::Text(Fact::read_by(left)?, Test::OneOf(texts?)))
}

fn affix(target: &Expression, text: &Expression, test: fn(String) -> Test) -> Guard {
    match (Fact::read_by(target), literal(text)) {
        (Some(fact), Some(text)) => Guard::Text(fact, test(text)),
        _ => Guard::Perhaps,
    }
}

fn literal(expression: &Expression) -> Option<String> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}
