//! The members that more than one contract has, each read in one way.

use serde_json::{Map, Value};

use super::Problems;
use super::reading::present;
use crate::domain::scope::{ScopeError, ScopeSet};

/// The longest lifetime that can be asked for, in seconds: ten years.
pub const LIFETIME_MAX: u64 = 10 * 365 * 24 * 3_600;
/// The most characters of a reason.
pub const REASON_MAX: usize = 10_000;
/// The most characters of a binding message.
pub const BINDING_MESSAGE_MAX: usize = 64;
/// The most audiences, actors and authorization details.
pub const LIST_MAX: usize = 50;

impl Problems {
    /// A set of scopes that was read, or the problem or refusal that its error is.
    pub fn scopes(&mut self, member: &str, scopes: Result<ScopeSet, ScopeError>) -> Option<ScopeSet> {
        match scopes {
            Ok(scopes) => return Some(scopes),
            Err(error) if error.is_too_much() => self.refuse(error.to_string()),
            Err(error) => self.add(member, error.to_string()),
        }
        None
    }

    /// How long access is wanted, in seconds: 1 to [`LIFETIME_MAX`].
    pub fn lifetime(&mut self, member: &str, value: Option<Value>) -> Option<u64> {
        self.seconds(member, value, LIFETIME_MAX)
    }

    /// Why, in the client's words. Whoever shows it cleans it; a blank one is none.
    pub fn reason(&mut self, member: &str, value: Option<Value>) -> Option<String> {
        self.text(member, value, REASON_MAX).filter(|text| !text.trim().is_empty())
    }

    /// The number that the client shows its user. A control character in it could make it look like another one.
    pub fn number_shown(&mut self, member: &str, value: Option<Value>) -> Option<String> {
        let text = self.text(member, value, BINDING_MESSAGE_MAX)?;
        if text.chars().any(char::is_control) {
            self.add(member, "holds a control character");
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// RFC 7800: an object that says something. An empty one would look like a bound token and bind nothing.
    pub fn confirmation(&mut self, member: &str, value: Option<Value>) -> Option<Value> {
        let members = self.object(member, value)?;
        if members.is_empty() {
            self.add(member, "is empty");
            return None;
        }
        Some(Value::Object(members))
    }

    /// RFC 9396 authorization details: objects, each with a `type`.
    pub fn authorization_details(&mut self, member: &str, value: Option<Value>) -> Vec<Value> {
        self.each(member, value, LIST_MAX, |problems, path, item| {
            let members = problems.object(path, Some(item))?;
            let kind = format!("{path}.type");
            let found = problems.required(&kind, present(members.get("type").cloned()));
            problems.identifier(&kind, found)?;
            Some(Value::Object(members))
        })
    }

    /// The actor chain, nearest first: texts, or objects with `sub` as RFC 8693 writes them. An `act` inside of one
    /// is the next link; leaving it out would hide somebody who is behind the call.
    pub fn actors(&mut self, member: &str, value: Option<Value>) -> Vec<String> {
        let chains = self.each(member, value, LIST_MAX, |problems, path, item| match item {
            Value::Object(members) => Some(actor_chain(problems, path, members)),
            other => problems.identifier(path, Some(other)).map(|id| vec![id]),
        });
        let chain: Vec<String> = chains.into_iter().flatten().collect();
        if chain.len() > LIST_MAX {
            self.add(member, format!("names {} actors; {LIST_MAX} is the most", chain.len()));
        }
        chain
    }
}

fn actor_chain(problems: &mut Problems, path: &str, members: Map<String, Value>) -> Vec<String> {
    let (mut chain, mut path, mut link) = (Vec::new(), path.to_owned(), Some(members));
    while let Some(mut members) = link {
        let sub = format!("{path}.sub");
        let id = problems.required(&sub, present(members.remove("sub")));
        chain.extend(problems.identifier(&sub, id));
        path.push_str(".act");
        link = problems.object(&path, present(members.remove("act")));
    }
    chain
}
