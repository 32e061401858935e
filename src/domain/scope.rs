//! Scopes, as RFC 6749 section 3.3 writes them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most scopes that one token request may name.
pub const SCOPES_MAX: usize = 50;
/// The most characters that the scope of one token request may have.
pub const SCOPE_CHARACTERS_MAX: usize = 2_500;

/// Why a text is not a set of scopes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// A character outside of the grammar `%x21 / %x23-5B / %x5D-7E`.
    #[error("scope has a character that RFC 6749 does not allow (at byte {at})")]
    Character {
        /// Where in the text, counted in bytes from 0.
        at: usize,
    },
    /// More than [`SCOPES_MAX`].
    #[error("{found} scopes are asked for; {SCOPES_MAX} is the most that a person can judge at once: ask for less")]
    TooMany {
        /// How many there were.
        found: usize,
    },
    /// Longer than [`SCOPE_CHARACTERS_MAX`].
    #[error(
        "the scopes have {found} characters; {SCOPE_CHARACTERS_MAX} is the most that a card can show: ask for less"
    )]
    TooLong {
        /// How many there were.
        found: usize,
    },
}

impl ScopeError {
    /// Whether the text was well formed and merely too much: that is a refusal, not a malformed call.
    pub fn is_too_much(&self) -> bool {
        match self {
            Self::Character { .. } => false,
            Self::TooMany { .. } | Self::TooLong { .. } => true,
        }
    }
}

/// One scope token. The empty scope stands for "no scope was named" and comes from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    /// What a token request without any scope asks for; a rule must name it to allow it.
    pub fn unnamed() -> Self {
        Self(String::new())
    }

    /// The scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        match text.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(ScopeError::Character { at }),
            None => Ok(Self(text)),
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes: order and repetition carry no meaning (RFC 6749 section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Reads a space-delimited scope. An absent or blank one is the empty set.
    ///
    /// # Errors
    /// [`ScopeError`] when it is not RFC 6749's grammar, or more than a person can judge.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > SCOPE_CHARACTERS_MAX {
            return Err(ScopeError::TooLong { found: text.len() });
        }
        Self::collect(text.split(' ').filter(|token| !token.is_empty()))
    }

    /// Reads a list of scopes, as Ory Hydra and AuthZEN send it. An empty one names nothing.
    ///
    /// # Errors
    /// As [`ScopeSet::parse`].
    pub fn collect<'a>(tokens: impl Iterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let named = tokens.filter(|token| !token.is_empty());
        let set = named.map(|token| Scope::try_from(token.to_owned())).collect::<Result<BTreeSet<_>, _>>()?;
        let characters: usize = set.iter().map(|scope| scope.0.len() + 1).sum();
        if set.len() > SCOPES_MAX {
            return Err(ScopeError::TooMany { found: set.len() });
        }
        if characters > SCOPE_CHARACTERS_MAX + 1 {
            return Err(ScopeError::TooLong { found: characters - 1 });
        }
        Ok(Self(set))
    }

    /// What the policy judges: each scope, or once the unnamed one when none was named.
    pub fn judged(&self) -> Vec<Scope> {
        if self.0.is_empty() { vec![Scope::unnamed()] } else { self.0.iter().cloned().collect() }
    }

    /// Whether nothing in here is missing from `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether `scope` is one of them.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// How many scopes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no scope is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().filter(|scope| !scope.0.is_empty()).collect())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&scope.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_carry_no_meaning() {
        assert_eq!(ScopeSet::parse("b a b").unwrap(), ScopeSet::parse(" a  b").unwrap());
        assert_eq!(ScopeSet::parse("b a").unwrap().to_string(), "a b");
    }

    #[test]
    fn characters_outside_of_the_grammar_are_refused_with_their_place() {
        for (text, at) in [("a\tb", 1), ("re\u{a0}ad", 2), ("\"x", 0), ("a\\b", 1), ("x\u{202e}", 1)] {
            assert_eq!(ScopeSet::parse(text), Err(ScopeError::Character { at }), "{text:?}");
        }
    }

    #[test]
    fn fifty_scopes_are_accepted_and_fifty_one_are_too_much() {
        let scopes = |n: usize| (0..n).map(|i| format!("s{i}")).collect::<Vec<_>>().join(" ");
        assert_eq!(ScopeSet::parse(&scopes(50)).unwrap().len(), 50);
        assert!(ScopeSet::parse(&scopes(51)).unwrap_err().is_too_much());
        assert!(ScopeSet::parse(&"x".repeat(2_501)).unwrap_err().is_too_much());
    }

    #[test]
    fn no_scope_is_judged_once_as_the_unnamed_one() {
        assert_eq!(ScopeSet::parse("").unwrap().judged(), [Scope::unnamed()]);
    }
}
