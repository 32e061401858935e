//! Conditions: CEL expressions over a token request, compiled once.
//!
//! Everything that can be found wrong is found when the policy is loaded: names that do not exist, values
//! that are neither true nor false, patterns and time zones that cannot be read. What is left can only go
//! wrong at evaluation, and there it refuses.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of CEL grow without us, and have a safe remainder")]

use std::any::Any;
use std::sync::{Arc, LazyLock};

use cel::common::types::{BOOL_TYPE, CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::parser::Expression;
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;
use thiserror::Error;

use super::check;
use super::facts::Names;

/// CEL's standard functions, without optional values (a key that may be missing needs `has()`), and
/// `matches` over patterns that were compiled with the policy.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // A name and signature of our own: the only way to fail is to be declared twice.
    let _ = env.add_member_overload("matches", "matches_pattern", STRING_TYPE, vec![PATTERN_TYPE], matches_pattern);
    let _ = env.add_overload("matches", "pattern_matches", vec![STRING_TYPE, PATTERN_TYPE], matches_pattern);
    Arc::new(env)
});

/// What a condition is for: rules that let a request through must not rest on what the client claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A rule that issues without anybody agreeing: *allow* or break-glass.
    LetsThrough,
    /// A rule that refuses or asks.
    RefusesOrAsks,
}

/// Why a condition cannot be used, in words for whoever writes the policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConditionError(pub String);

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    source: String,
    expression: Expression,
    patterns: Patterns,
    names: Names,
}

impl Condition {
    /// Compiles and checks an expression.
    ///
    /// # Errors
    /// [`ConditionError`] when it is not CEL, names what does not exist, is not boolean, or rests on a
    /// claim of the client where it must not.
    pub fn compile(source: &str, purpose: Use) -> Result<Self, ConditionError> {
        let program = ENVIRONMENT.compile(source).map_err(|errors| ConditionError(not_cel(&errors)))?;
        let mut expression = program.expression().clone();
        let names = check::names(&expression)?;
        if purpose == Use::LetsThrough && names.contains("reason") {
            return Err(ConditionError(
                "`reason` is what the client claims; a rule that issues without asking must not rest on it".to_owned(),
            ));
        }
        check::literals(&expression)?;
        let patterns = Patterns(check::take_patterns(&mut expression)?);
        let condition = Self { source: source.to_owned(), expression, patterns, names };
        check::is_boolean(&condition)?;
        Ok(condition)
    }

    /// Compiles an expression of any type.
    pub(super) fn part(source: &str) -> Result<Self, ConditionError> {
        let program = ENVIRONMENT.compile(source).map_err(|errors| ConditionError(not_cel(&errors)))?;
        let mut expression = program.expression().clone();
        let names = check::names(&expression)?;
        check::literals(&expression)?;
        let patterns = Patterns(check::take_patterns(&mut expression)?);
        Ok(Self { source: source.to_owned(), expression, patterns, names })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }

    pub(super) fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Whether it is true in a context.
    ///
    /// # Errors
    /// Words for why that cannot be told. They hold no values of the request: the client reads them.
    pub(super) fn holds<'v>(&'v self, context: &Context<'_, 'v>) -> Result<bool, String> {
        match self.value_of(&self.expression, context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err("it is neither true nor false".to_owned()),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// The value of a part of it.
    pub(super) fn value_of<'v>(
        &'v self,
        part: &Expression,
        context: &Context<'_, 'v>,
    ) -> Result<Value, ExecutionError> {
        if self.patterns.0.is_empty() {
            return Value::resolve(part, context);
        }
        let mut with_patterns = context.new_inner_scope();
        with_patterns.set_variable_resolver(&self.patterns);
        Value::resolve(part, &with_patterns)
    }
}

fn not_cel(errors: &cel::ParseErrors) -> String {
    let each = errors.errors.iter().map(|e| format!("{} (line {}, column {})", e.msg, e.pos.0, e.pos.1));
    format!("it is not a CEL expression: {}", each.collect::<Vec<_>>().join("; "))
}

/// An error without the values that led to it.
fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}` (has() tells whether there is)"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "it reads past the end of a list".to_owned(),
        ExecutionError::Overflow(..) => "a number, time or duration becomes too large".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` cannot take the value it is given"),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        error if is_about_types(error) => "the types of two values do not fit together".to_owned(),
        _ => "it has no value".to_owned(),
    }
}

/// Whether an error says that the expression can never work, whatever the values are.
pub(super) fn is_about_types(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedIndex(..)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::MissingArgumentOrTarget
    )
}

/// The compiled patterns of one condition. In the expression they are called `@pattern0`, `@pattern1`…,
/// which no policy can spell.
#[derive(Debug)]
struct Patterns(Vec<Pattern>);

impl VariableResolver for Patterns {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let at: usize = variable.strip_prefix(check::PATTERN_PREFIX)?.parse().ok()?;
        self.0.get(at).map(|pattern| CowVal::Borrowed(pattern as &dyn Val))
    }
}

/// A compiled regular expression as a CEL value. CEL's own `matches` compiles at every call.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Regex);

const PATTERN_TYPE: Type = Type::new_unspecified_type("pattern");
static PATTERN: Type = PATTERN_TYPE;

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches_pattern<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = arguments.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<Pattern>()) {
        (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner())))),
        _ => Err(ExecutionError::no_such_member_overload("matches", vec![BOOL_TYPE.name().to_owned()])),
    }
}
