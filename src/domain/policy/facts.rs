//! What conditions may speak of: the variables, and their values for one token request.

use std::collections::HashMap;

use cel::common::types::{CelBool, CelString};
use cel::{Context, Value};

use super::condition::ENVIRONMENT;
use crate::domain::Timestamp;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

/// The variables, in the order of the bits of a [`Names`].
pub(super) const VARIABLES: [&str; 14] = [
    "scope",
    "scopes",
    "audience",
    "client",
    "subject",
    "actor",
    "grant_type",
    "authorization_details",
    "hook",
    "reason",
    "context",
    "requested_lifetime",
    "first_time",
    "now",
];

/// A set of [`VARIABLES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Names(u16);

impl Names {
    /// Adds a variable; false when there is none of that name.
    pub(super) fn insert(&mut self, name: &str) -> bool {
        let bit = VARIABLES.iter().position(|variable| *variable == name);
        self.0 |= bit.map_or(0, |bit| 1 << bit);
        bit.is_some()
    }

    /// Whether `name` is one of them.
    pub(super) fn contains(self, name: &str) -> bool {
        VARIABLES.iter().position(|variable| *variable == name).is_some_and(|bit| self.0 & (1 << bit) != 0)
    }

    /// Both.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other set.
    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its members.
    pub(super) fn iter(self) -> impl Iterator<Item = &'static str> {
        VARIABLES.into_iter().filter(move |name| self.contains(name))
    }
}

/// The values that conditions see, built for one token request as rules come to need them.
pub(super) struct Facts<'a> {
    asked: &'a TokenRequest,
    now: Timestamp,
    built: Names,
    context: Context<'a, 'a>,
}

impl<'a> Facts<'a> {
    /// Nothing is built yet.
    pub(super) fn new(asked: &'a TokenRequest, now: Timestamp) -> Self {
        Self { asked, now, built: Names::default(), context: Context::with_env(ENVIRONMENT.clone()) }
    }

    /// The context of one scope, with at least the variables that `names` has. `first_time` is asked only if it
    /// is one of them.
    pub(super) fn of_scope(
        &mut self,
        scope: &Scope,
        names: Names,
        first_time: &dyn Fn(&Scope) -> bool,
    ) -> Context<'_, 'a> {
        for name in names.without(self.built).iter() {
            if let Some(value) = value_of(name, self.asked, self.now) {
                self.context.add_variable_from_value(name, value);
            }
        }
        self.built = self.built.union(names);
        let mut context = self.context.new_inner_scope();
        context.add_variable_as_val("scope", Box::new(CelString::from(scope.as_str().to_owned())));
        if names.contains("first_time") {
            context.add_variable_as_val("first_time", Box::new(CelBool::from(first_time(scope))));
        }
        context
    }
}

/// An absent text is `""`, an absent list `[]`, an absent lifetime no time at all.
fn value_of(name: &str, asked: &TokenRequest, now: Timestamp) -> Option<Value> {
    Some(match name {
        "scopes" => asked.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().into(),
        "audience" => asked.audience.iter().map(String::as_str).collect::<Vec<_>>().into(),
        "client" => map([("id", text(&asked.client.id)), ("name", optional(asked.client.name.as_deref()))]),
        "subject" => map([
            ("kind", text(asked.subject.kind.as_str())),
            ("id", text(&asked.subject.id)),
            ("email", optional(asked.subject.email.as_deref())),
        ]),
        "actor" => asked.actor.iter().map(String::as_str).collect::<Vec<_>>().into(),
        "grant_type" => text(&asked.grant_type),
        "authorization_details" => asked.authorization_details.iter().map(json).collect::<Vec<_>>().into(),
        "hook" => text(asked.hook.as_str()),
        "reason" => optional(asked.reason.as_deref()),
        "context" => map(asked.context.iter().map(|(key, value)| (key.as_str(), json(value)))),
        "requested_lifetime" => {
            let seconds = asked.requested_lifetime.unwrap_or(0).min(super::LONGEST);
            Value::Duration(chrono::Duration::seconds(i64::try_from(seconds).unwrap_or(0)))
        }
        "now" => Value::Timestamp(now.fixed_offset()),
        _ => return None,
    })
}

fn text(text: &str) -> Value {
    text.into()
}

fn optional(maybe: Option<&str>) -> Value {
    text(maybe.unwrap_or_default())
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<String, Value>>().into()
}

/// JSON as CEL sees it. Whole numbers are `int` wherever they fit, so that they can be computed with.
fn json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(uint)) => Value::UInt(uint),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(items) => items.iter().map(json).collect::<Vec<_>>().into(),
        serde_json::Value::Object(members) => map(members.iter().map(|(key, value)| (key.as_str(), json(value)))),
    }
}
