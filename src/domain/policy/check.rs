//! What is wrong with a condition, found before it is ever needed.
//!
//! Names are found by walking the expression; a value that is not boolean, by evaluating every operand of the
//! logical operators on sample requests, so that short-circuits hide nothing.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of CEL grow without us, and have a safe remainder")]

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression;
use cel::{Context, ExecutionError, Value};
use regex::RegexBuilder;
use serde_json::json;

use super::condition::{Condition, ConditionError, ENVIRONMENT, Pattern, is_about_types};
use super::facts::{Facts, Names, VARIABLES};
use crate::domain::Timestamp;
use crate::domain::token_request::TokenRequest;

/// What compiled patterns are called in expressions; `@` cannot be written in a policy.
pub(super) const PATTERN_PREFIX: &str = "@pattern";
/// What counts the turns of loops in expressions.
pub(super) const TURN: &str = "@turn";
/// The most bytes that a compiled pattern may take.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// A pattern as it stands in a policy: linear in the text it is matched against, and bounded in size.
///
/// # Errors
/// [`ConditionError`] when it is no regular expression, or too large a one.
pub fn compile_pattern(pattern: &str) -> Result<regex::Regex, ConditionError> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_SIZE_MAX)
        .build()
        .map_err(|error| ConditionError(format!("the pattern `{pattern}` cannot be used: {error}")))
}

/// The variables that an expression names.
pub(super) fn names(expression: &Expression) -> Result<Names, ConditionError> {
    let mut names = Names::default();
    walk(expression, &mut Vec::new(), &mut |part, bound| name_exists(part, bound, &mut names))?;
    Ok(names)
}

type Visit<'a, 'e> = dyn FnMut(&'e Expression, &[&'e str]) -> Result<(), ConditionError> + 'a;

/// Visits every part, with the names that macros have bound there.
fn walk<'e>(part: &'e Expression, bound: &mut Vec<&'e str>, visit: &mut Visit<'_, 'e>) -> Result<(), ConditionError> {
    visit(part, bound)?;
    if let Expr::Comprehension(macro_) = &part.expr {
        walk(&macro_.iter_range, bound, visit)?;
        walk(&macro_.accu_init, bound, visit)?;
        let before = bound.len();
        bound.push(&macro_.accu_var);
        bound.push(&macro_.iter_var);
        bound.extend(macro_.iter_var2.as_deref());
        for inner in [&macro_.loop_cond, &macro_.loop_step, &macro_.result] {
            walk(inner, bound, visit)?;
        }
        bound.truncate(before);
        return Ok(());
    }
    parts(&part.expr).into_iter().try_for_each(|inner| walk(inner, bound, visit))
}

/// The direct parts of an expression that binds no names.
fn parts(expr: &Expr) -> Vec<&Expression> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            })
            .collect(),
        Expr::Comprehension(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Vec::new(),
    }
}

fn name_exists(part: &Expression, bound: &[&str], names: &mut Names) -> Result<(), ConditionError> {
    match &part.expr {
        Expr::Ident(name) => {
            let plain = name.trim_start_matches('.');
            let known = bound.contains(&plain) || names.insert(plain) || ENVIRONMENT.types().find_type(plain).is_some();
            if known { Ok(()) } else { Err(ConditionError(unknown(plain))) }
        }
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if !bound.contains(&name.as_str()) => member_exists(name, &select.field),
            _ => Ok(()),
        },
        Expr::Call(call) => function_exists(call),
        Expr::Struct(literal) => Err(ConditionError(format!("there is no type `{}`", literal.type_name))),
        Expr::Comprehension(_) | Expr::List(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Unspecified => Ok(()),
    }
}

/// Whether two expressions are equal: the numbers that the parser gave their parts do not count.
pub(super) fn same(one: &Expression, other: &Expression) -> bool {
    let (mut one, mut other) = (one.clone(), other.clone());
    forget_numbers(&mut one);
    forget_numbers(&mut other);
    one == other
}

fn forget_numbers(part: &mut Expression) {
    part.id = 0;
    if let Expr::Map(map) = &mut part.expr {
        map.entries.iter_mut().for_each(|entry| entry.id = 0);
    }
    parts_mut(&mut part.expr).into_iter().for_each(forget_numbers);
}

/// The facts that a condition reads, as they are written: `scope`, `client.id`, `context.ip`.
pub(super) fn facts(condition: &Condition) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect_facts(condition.expression(), &mut Vec::new(), &mut found);
    found
}

fn collect_facts<'e>(part: &'e Expression, bound: &mut Vec<&'e str>, found: &mut BTreeSet<String>) {
    if let Some(path) = path(part, bound) {
        found.insert(path);
        return;
    }
    if let Expr::Comprehension(looped) = &part.expr {
        collect_facts(&looped.iter_range, bound, found);
        let before = bound.len();
        bound.push(&looped.iter_var);
        bound.extend(looped.iter_var2.as_deref());
        collect_facts(&looped.loop_step, bound, found);
        bound.truncate(before);
        return;
    }
    for inner in parts(&part.expr) {
        collect_facts(inner, bound, found);
    }
}

/// A variable, or members of one.
fn path(part: &Expression, bound: &[&str]) -> Option<String> {
    match &part.expr {
        Expr::Ident(name) => {
            (VARIABLES.contains(&name.as_str()) && !bound.contains(&name.as_str())).then(|| name.clone())
        }
        Expr::Select(select) => Some(format!("{}.{}", path(&select.operand, bound)?, select.field)),
        _ => None,
    }
}

fn unknown(name: &str) -> String {
    if name == "binding_message" {
        return "`binding_message` is what the client claims, and no rule may rest on it".to_owned();
    }
    format!("there is no `{name}`; a condition can use {}", VARIABLES.join(", "))
}

fn member_exists(variable: &str, member: &str) -> Result<(), ConditionError> {
    let members: &[&str] = match variable {
        "client" => &["id", "name"],
        "subject" => &["kind", "id", "email"],
        _ => return Ok(()),
    };
    if members.contains(&member) {
        return Ok(());
    }
    Err(ConditionError(format!("`{variable}` has no `{member}`; it has {}", members.join(", "))))
}

/// Asks CEL itself, by calling the function without anything: only a name that nobody declared is undeclared.
fn function_exists(call: &CallExpr) -> Result<(), ConditionError> {
    if !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    let name = &call.func_name;
    let probe = if call.target.is_some() { format!("''.{name}()") } else { format!("{name}()") };
    let outcome = ENVIRONMENT.compile(&probe).map(|program| program.execute(&Context::with_env(ENVIRONMENT.clone())));
    match outcome {
        Ok(Err(ExecutionError::UndeclaredReference(_))) => {
            let as_what = if call.target.is_some() { "method" } else { "function" };
            Err(ConditionError(format!("there is no {as_what} `{name}`")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Finds time zones, times and durations written out in an expression that CEL cannot read.
pub(super) fn literals(expression: &Expression) -> Result<(), ConditionError> {
    walk(expression, &mut Vec::new(), &mut |part, _| match &part.expr {
        Expr::Call(call) => literal_is_readable(call),
        _ => Ok(()),
    })
}

fn literal_is_readable(call: &CallExpr) -> Result<(), ConditionError> {
    let [Expression { expr: Expr::Literal(LiteralValue::String(literal)), .. }] = call.args.as_slice() else {
        return Ok(());
    };
    let on_time = call.target.is_some() && call.func_name.starts_with("get");
    let from_text = call.target.is_none() && matches!(call.func_name.as_str(), "duration" | "timestamp");
    if !on_time && !from_text {
        return Ok(());
    }
    let mut call = call.clone();
    if on_time {
        let noon = ENVIRONMENT.compile("timestamp(0)").map(|program| program.expression().clone());
        call.target = noon.ok().map(Box::new);
    }
    let name = call.func_name.clone();
    let probe = Expression { id: 0, expr: Expr::Call(call) };
    match Value::resolve(&probe, &Context::with_env(ENVIRONMENT.clone())) {
        Err(ExecutionError::FunctionError { message, .. }) => {
            Err(ConditionError(format!("`{name}` cannot read `{}`: {message}", literal.inner())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Compiles the patterns of `matches` and puts their names in their places.
pub(super) fn take_patterns(expression: &mut Expression) -> Result<Vec<Pattern>, ConditionError> {
    let mut patterns = Vec::new();
    take(expression, &mut patterns)?;
    Ok(patterns)
}

fn take(part: &mut Expression, patterns: &mut Vec<Pattern>) -> Result<(), ConditionError> {
    if let Expr::Call(call) = &mut part.expr
        && call.func_name == "matches"
        && let Some(pattern) = call.args.last_mut()
    {
        let Expr::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            let why = "the pattern of `matches` must be written out, as a text, in the rule itself";
            return Err(ConditionError(why.to_owned()));
        };
        let compiled = compile_pattern(literal.inner())?;
        pattern.expr = Expr::Ident(format!("{PATTERN_PREFIX}{}", patterns.len()));
        patterns.push(Pattern(compiled));
    }
    parts_mut(&mut part.expr).into_iter().try_for_each(|inner| take(inner, patterns))
}

/// Lets every turn of every loop count, and says whether there is a loop. An error in the condition of a loop, or
/// in the condition of its step, ends the loop, so the count is asked there: `@turn ? … : …`.
pub(super) fn count_turns(part: &mut Expression) -> bool {
    let mut found = false;
    for inner in parts_mut(&mut part.expr) {
        found |= count_turns(inner);
    }
    let Expr::Comprehension(looped) = &mut part.expr else { return found };
    let accumulated = Expression { id: 0, expr: Expr::Ident(looped.accu_var.clone()) };
    let ended = Expression { id: 0, expr: Expr::Literal(LiteralValue::Boolean(false.into())) };
    match (&looped.loop_cond.expr, &mut looped.loop_step.expr) {
        // `all` and `exists`: they look whether to go on.
        (condition, _) if !matches!(condition, Expr::Literal(_)) => counted(&mut looped.loop_cond, ended),
        // `filter` and `exists_one`: their step has a condition.
        (_, Expr::Call(step)) if step.func_name == operators::CONDITIONAL && step.args.len() == 3 => {
            if let Some(condition) = step.args.first_mut() {
                counted(condition, ended);
            }
        }
        // `map`.
        (_, _) => counted(&mut looped.loop_step, accumulated),
    }
    true
}

/// `part` becomes `@turn ? part : otherwise`.
fn counted(part: &mut Expression, otherwise: Expression) {
    let turn = Expression { id: 0, expr: Expr::Ident(TURN.to_owned()) };
    let then = std::mem::take(part);
    let args = vec![turn, then, otherwise];
    let call = CallExpr { func_name: operators::CONDITIONAL.to_owned(), target: None, args };
    *part = Expression { id: 0, expr: Expr::Call(call) };
}

fn parts_mut(expr: &mut Expr) -> Vec<&mut Expression> {
    match expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .flat_map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
                EntryExpr::StructField(field) => vec![&mut field.value],
            })
            .collect(),
        Expr::Comprehension(m) => {
            vec![&mut m.iter_range, &mut m.accu_init, &mut m.loop_cond, &mut m.loop_step, &mut m.result]
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Vec::new(),
    }
}

/// Tries a condition on samples: one that says everything, one that says nothing.
pub(super) fn is_boolean(condition: &Condition) -> Result<(), ConditionError> {
    for (sample, judges_types) in samples() {
        let mut facts = Facts::new(&sample, Timestamp::UNIX_EPOCH);
        for scope in sample.scopes.judged() {
            let context = facts.of_scope(&scope, condition.names(), &|_| true);
            operands(condition.expression(), &mut |part| is_boolean_in(condition, part, &context, judges_types))?;
        }
    }
    Ok(())
}

/// The parts that must be boolean: the operands of `&&`, `||`, `!`, and the branches of `? :`.
fn operands(
    part: &Expression,
    visit: &mut dyn FnMut(&Expression) -> Result<(), ConditionError>,
) -> Result<(), ConditionError> {
    match &part.expr {
        Expr::Call(call)
            if matches!(
                call.func_name.as_str(),
                operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::CONDITIONAL
            ) =>
        {
            call.args.iter().try_for_each(|operand| operands(operand, visit))
        }
        _ => visit(part),
    }
}

/// Types are judged only where the sample leaves `context` empty: what servers put there is theirs to say.
fn is_boolean_in(
    condition: &Condition,
    part: &Expression,
    context: &Context<'_, '_>,
    judges_types: bool,
) -> Result<(), ConditionError> {
    match condition.value_of(part, context) {
        Ok(Value::Bool(_)) => Ok(()),
        Ok(value) => {
            let kind = value.type_of();
            Err(ConditionError(format!(
                "a condition must be true or false; this one, or a part of it, is of type {kind}"
            )))
        }
        Err(error) if judges_types && is_about_types(&error) => {
            Err(ConditionError(format!("the types in it do not fit together: {error}")))
        }
        Err(_) => Ok(()),
    }
}

/// What expressions are tried on when a policy is loaded.
pub(super) fn sample_requests() -> Vec<TokenRequest> {
    samples().into_iter().map(|(sample, _)| sample).collect()
}

fn samples() -> Vec<(TokenRequest, bool)> {
    let everything = json!({
        "hook": "sample", "grant_type": "client_credentials", "client": {"id": "sample", "name": "Sample"},
        "subject": {"kind": "user", "id": "sample@example.com", "email": "sample@example.com"},
        "actor": ["sample"], "scopes": ["sample"], "audience": ["https://sample.example.com"],
        "requested_lifetime": 60, "reason": "sample"
    });
    let mut vouched = everything.clone();
    vouched["context"] = json!({"ip": "192.0.2.1", "acr": "sample", "amr": ["sample"]});
    let nothing = json!({
        "hook": "sample", "grant_type": "", "client": {"id": ""}, "subject": {"kind": "client", "id": ""}, "scopes": []
    });
    let read = |sample| serde_json::from_value::<TokenRequest>(sample).ok();
    [(everything, true), (vouched, false), (nothing, true)]
        .into_iter()
        .filter_map(|(sample, judges_types)| Some((read(sample)?, judges_types)))
        .collect()
}
