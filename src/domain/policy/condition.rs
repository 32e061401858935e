//! Conditions: CEL expressions over a token request, compiled once.
//!
//! Everything that can be found wrong is found when the policy is loaded: names that do not exist, values
//! that are neither true nor false, patterns and time zones that cannot be read. What is left can only go
//! wrong at evaluation, and there it refuses.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of CEL grow without us, and have a safe remainder")]

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
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
use super::guard::Guard;

/// CEL's standard functions, without optional values (a key that may be missing needs `has()`), and
/// `matches` over patterns that were compiled with the policy.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // A name and signature of our own: the only way to fail is to be declared twice.
    let _ = env.add_member_overload("matches", "matches_pattern", STRING_TYPE, vec![PATTERN_TYPE], matches_pattern);
    let _ = env.add_overload("matches", "pattern_matches", vec![STRING_TYPE, PATTERN_TYPE], matches_pattern);
    Arc::new(env)
});

/// How many turns the loops of a condition (`all`, `exists`, `map` and so on) may take in all, in one evaluation.
pub(super) const TURNS_MAX: u32 = 10_000;

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
    patterns: Vec<Pattern>,
    names: Names,
    guard: Guard,
    has_loops: bool,
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
        let condition = Self::prepare(source, &mut expression, names)?;
        check::is_boolean(&condition)?;
        Ok(condition)
    }

    /// Compiles an expression of any type.
    pub(super) fn part(source: &str) -> Result<Self, ConditionError> {
        let program = ENVIRONMENT.compile(source).map_err(|errors| ConditionError(not_cel(&errors)))?;
        let mut expression = program.expression().clone();
        let names = check::names(&expression)?;
        Self::prepare(source, &mut expression, names)
    }

    fn prepare(source: &str, expression: &mut Expression, names: Names) -> Result<Self, ConditionError> {
        let guard = Guard::of(expression);
        let patterns = check::take_patterns(expression)?;
        let has_loops = check::count_turns(expression);
        let (source, expression) = (source.to_owned(), expression.clone());
        Ok(Self { source, expression, patterns, names, guard, has_loops })
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

    /// What must hold for it to be true.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether it is the same expression as another, blanks and comments apart.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let patterns = |of: &Self| of.patterns.iter().map(|pattern| pattern.0.as_str().to_owned()).collect::<Vec<_>>();
        patterns(self) == patterns(other) && check::same(&self.expression, &other.expression)
    }

    /// Whether it wants to know what came for the first time.
    pub(super) fn asks_first_time(&self) -> bool {
        self.names.contains("first_time")
    }

    /// Whether it is true in a context.
    ///
    /// # Errors
    /// Words for why that cannot be told. They hold no values of the request: the client reads them.
    pub(super) fn holds(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.value_of(&self.expression, context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err("it is neither true nor false".to_owned()),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// Its value, of whatever type; none where it has none.
    pub(super) fn value(&self, context: &Context<'_, '_>) -> Option<Value> {
        self.value_of(&self.expression, context).ok()
    }

    /// The value of a part of it.
    pub(super) fn value_of(&self, part: &Expression, context: &Context<'_, '_>) -> Result<Value, ExecutionError> {
        if self.patterns.is_empty() && !self.has_loops {
            return Value::resolve(part, context);
        }
        let own = Own { patterns: &self.patterns, turns: AtomicU32::new(0) };
        let mut with_own = context.new_inner_scope();
        with_own.set_variable_resolver(&own);
        Value::resolve(part, &with_own)
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
        ExecutionError::UndeclaredReference(name) if name.as_str() == check::TURN => {
            format!("its loops take more than {TURNS_MAX} turns")
        }
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

/// What one evaluation has of its own, under names that no policy can spell: the compiled patterns, called
/// `@pattern0`, `@pattern1`…, and `@turn`, which is true until the loops have taken [`TURNS_MAX`] turns and then
/// does not exist. Lists come from callers, and a loop in a loop over a long one would never end otherwise.
struct Own<'c> {
    patterns: &'c [Pattern],
    turns: AtomicU32,
}

impl VariableResolver for Own<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == check::TURN {
            let taken = self.turns.fetch_add(1, Ordering::Relaxed);
            return (taken < TURNS_MAX).then(|| CowVal::owned(CelBool::from(true)));
        }
        let at: usize = variable.strip_prefix(check::PATTERN_PREFIX)?.parse().ok()?;
        self.patterns.get(at).map(|pattern| CowVal::Borrowed(pattern as &dyn Val))
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
