//! Reading JSON that others wrote: every member that is missing or wrong is collected and named, and only the
//! members that are asked for are looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

/// The most characters of an identifier: client, subject, actor, audience, grant type.
const IDENTIFIER_MAX: usize = 1_000;
/// How many problems one answer names; a person corrects a few at a time.
const PROBLEMS_MAX: usize = 50;

/// One thing that is wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The member, as a path: `expires_in`, `actor[1].sub`; `body` for the whole.
    pub member: String,
    /// What is wrong with it, to be read after its name.
    pub says: String,
}

/// Why a call that was authenticated is not a token request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// It does not follow the contract.
    #[error("{}", Self::in_words(.0))]
    Malformed(Vec<Problem>),
    /// It follows the contract and asks for more than a person can judge, or for what cannot be granted here: a
    /// refusal, with what to say.
    #[error("{0}")]
    Refused(String),
}

impl ParseError {
    /// All problems in one sentence.
    pub fn in_words(problems: &[Problem]) -> String {
        let all: Vec<String> = problems.iter().map(|p| format!("`{}` {}", p.member, p.says)).collect();
        all.join("; ")
    }
}

/// Collects what is wrong while members are read.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    refused: Option<String>,
}

impl Problems {
    /// Notes that something is wrong with a member.
    pub fn add(&mut self, member: impl Into<String>, says: impl Into<String>) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.push(Problem { member: member.into(), says: says.into() });
        }
    }

    /// Notes that the call can be read and will not be granted: a refusal, unless it is malformed as well.
    pub fn refuse(&mut self, says: impl Into<String>) {
        self.refused.get_or_insert_with(|| says.into());
    }

    /// Whether a member is missing or wrong.
    pub fn malformed(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether anything was noted.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.refused.is_none()
    }

    /// The error that was noted.
    pub fn into_error(self) -> ParseError {
        match self.refused {
            Some(says) if self.found.is_empty() => ParseError::Refused(says),
            Some(_) | None => ParseError::Malformed(self.found),
        }
    }

    /// The value of a member that must be there.
    pub fn required(&mut self, member: &str, value: Option<Value>) -> Option<Value> {
        if value.is_none() {
            self.add(member, "is missing");
        }
        value
    }

    /// A text of at most `longest` characters. Control characters are allowed; whoever shows it cleans it.
    pub fn text(&mut self, member: &str, value: Option<Value>, longest: usize) -> Option<String> {
        match value? {
            Value::String(text) if text.chars().count() <= longest => Some(text),
            Value::String(_) => self.blame(member, format!("is longer than {longest} characters")),
            other => self.blame(member, format!("must be a text, not {}", kind(&other))),
        }
    }

    /// A name of somebody or something: a text that is not empty and holds no control character.
    pub fn identifier(&mut self, member: &str, value: Option<Value>) -> Option<String> {
        let text = self.text(member, value, IDENTIFIER_MAX)?;
        if text.is_empty() {
            return self.blame(member, "is empty");
        }
        if text.chars().any(char::is_control) {
            return self.blame(member, "holds a control character");
        }
        Some(text)
    }

    /// One identifier, or a list of at most [`LIST_MAX`](super::LIST_MAX).
    pub fn identifiers(&mut self, member: &str, value: Option<Value>) -> Vec<String> {
        match value {
            None => Vec::new(),
            Some(one @ Value::String(_)) => self.identifier(member, Some(one)).into_iter().collect(),
            Some(other) => self.each(member, Some(other), super::LIST_MAX, |problems, path, item| {
                problems.identifier(path, Some(item))
            }),
        }
    }

    /// A list of at most `most`, each read by `read`, which gets the path of the item.
    pub fn each<T>(
        &mut self,
        member: &str,
        value: Option<Value>,
        most: usize,
        mut read: impl FnMut(&mut Self, &str, Value) -> Option<T>,
    ) -> Vec<T> {
        let items = match value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.add(member, format!("must be a list, not {}", kind(&other)));
                return Vec::new();
            }
        };
        if items.len() > most {
            self.add(member, format!("has {} items; {most} is the most", items.len()));
            return Vec::new();
        }
        let items = items.into_iter().enumerate();
        items.filter_map(|(n, item)| read(self, &format!("{member}[{n}]"), item)).collect()
    }

    /// An object.
    pub fn object(&mut self, member: &str, value: Option<Value>) -> Option<Map<String, Value>> {
        match value? {
            Value::Object(members) => Some(members),
            other => self.blame(member, format!("must be an object, not {}", kind(&other))),
        }
    }

    /// A whole number of seconds from 1 to `most`.
    pub fn seconds(&mut self, member: &str, value: Option<Value>, most: u64) -> Option<u64> {
        let value = value?;
        let Value::Number(number) = &value else {
            return self.blame(member, format!("must be a number of seconds, not {}", kind(&value)));
        };
        match number.as_u64() {
            Some(0) => self.blame(member, "is 0; leave it out to get the longest that is allowed"),
            Some(seconds) if seconds <= most => Some(seconds),
            Some(_) => self.blame(member, format!("is more than {most} seconds")),
            None => self.blame(member, "must be a whole number of seconds, not negative"),
        }
    }

    fn blame<T>(&mut self, member: &str, says: impl Into<String>) -> Option<T> {
        self.add(member, says);
        None
    }
}

/// A member of an object that was read; `null` counts as absent.
pub(super) fn present(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

/// What kind of JSON value it is, for a sentence.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A JSON object whose members are read one by one. One that nobody asks for may hold anything at any depth.
#[derive(Debug)]
pub struct Body<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Body<'a> {
    /// Finds the members.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] when it is not a JSON object, or has a member twice: two readers could then
    /// disagree about what was asked.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let members: Members<'a> = serde_json::from_slice(bytes).map_err(|error| {
            // Only the place is repeated: the parser's own words may quote what it found.
            let says = if error.is_data() {
                "must be a JSON object".to_owned()
            } else {
                format!("is not JSON (line {}, column {})", error.line(), error.column())
            };
            ParseError::Malformed(vec![Problem { member: "body".to_owned(), says }])
        })?;
        let mut found = BTreeMap::new();
        let mut problems = Problems::default();
        for (name, value) in members.0 {
            if found.insert(name.clone(), value).is_some() {
                problems.add(name.chars().take(80).collect::<String>(), "is there twice");
            }
        }
        if problems.is_empty() { Ok(Self(found)) } else { Err(problems.into_error()) }
    }

    /// Takes a member. One that is `null` counts as absent.
    pub fn take(&mut self, name: &str, problems: &mut Problems) -> Option<Value> {
        let raw = self.0.remove(name)?;
        match serde_json::from_str(raw.get()) {
            Ok(Value::Null) => None,
            Ok(value) => Some(value),
            Err(_) => {
                problems.add(name, "is nested too deeply or is not JSON");
                // Not absent: the problem is noted, and a reader that finds nothing must not note another.
                None
            }
        }
    }

    /// Takes a member that must be there.
    pub fn take_required(&mut self, name: &str, problems: &mut Problems) -> Option<Value> {
        let unread = problems.found.len();
        let value = self.take(name, problems);
        if problems.found.len() > unread { None } else { problems.required(name, value) }
    }
}

/// The members in their order, each unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    all.push(member);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}
