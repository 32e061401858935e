//! Who owns the client of a token request, as a resource of the catalogue says: people named, or a CEL expression
//! that gives a list of identities. Owners never decide about what their client asks for, unless a rule says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::Value;

use super::condition::{Condition, ConditionError};
use super::facts::Facts;
use super::{Policy, Refused, Resource, Ruling};
use crate::domain::Timestamp;
use crate::domain::identity::Principal;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

/// Facts that an expression for owners cannot speak of: it is evaluated once for all scopes, and must not rest on
/// what the client claims.
const NOT_FOR_OWNERS: [&str; 3] = ["scope", "first_time", "reason"];

/// The owners of a resource's clients.
#[derive(Debug, Clone)]
pub enum Owners {
    /// These people.
    Named(BTreeSet<Principal>),
    /// Whom an expression names.
    Computed(Arc<Condition>),
}

impl Default for Owners {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl PartialEq for Owners {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(one), Self::Named(other)) => one == other,
            (Self::Computed(one), Self::Computed(other)) => one.source() == other.source(),
            (Self::Named(_), Self::Computed(_)) | (Self::Computed(_), Self::Named(_)) => false,
        }
    }
}

impl Eq for Owners {}

impl Owners {
    /// Compiles an expression that gives a list of identities.
    ///
    /// # Errors
    /// [`ConditionError`] when it is not CEL, names what does not exist there, or gives something else on samples.
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        let compiled = Condition::part(source)?;
        super::check::literals(compiled.expression())?;
        if let Some(name) = NOT_FOR_OWNERS.into_iter().find(|name| compiled.names().contains(name)) {
            return Err(ConditionError(format!("`{name}` says nothing about whose client it is")));
        }
        for sample in super::check::sample_requests() {
            match evaluate(&compiled, &sample, Timestamp::UNIX_EPOCH) {
                Ok(_) | Err(NoOwners::NoValue) => {}
                Err(NoOwners::NoList) => {
                    return Err(ConditionError("it must give a list of texts, each an identity".to_owned()));
                }
            }
        }
        Ok(Self::Computed(Arc::new(compiled)))
    }

    fn of(&self, asked: &TokenRequest, now: Timestamp) -> Result<BTreeSet<Principal>, NoOwners> {
        match self {
            Self::Named(people) => Ok(people.clone()),
            Self::Computed(expression) => evaluate(expression, asked, now),
        }
    }
}

/// Why an expression named nobody.
enum NoOwners {
    /// It has no value for this request.
    NoValue,
    /// Its value is no list of texts.
    NoList,
}

fn evaluate(expression: &Condition, asked: &TokenRequest, now: Timestamp) -> Result<BTreeSet<Principal>, NoOwners> {
    let mut facts = Facts::new(asked, now);
    let context = facts.of_scope(&Scope::unnamed(), expression.names(), &|_| false);
    let value = expression.value(&context).ok_or(NoOwners::NoValue)?;
    let Value::List(list) = value else { return Err(NoOwners::NoList) };
    list.iter()
        .map(|one| {
            let Value::String(text) = one else { return Err(NoOwners::NoList) };
            Ok(Principal::new(text))
        })
        .filter(|one| one.as_ref().map_or(true, |principal| !principal.as_str().is_empty()))
        .collect()
}

impl Policy {
    /// The owners of the client of a token request: of every resource that it is about.
    ///
    /// # Errors
    /// Words for why that cannot be told; then nobody may be asked, or approve.
    pub fn owners(&self, asked: &TokenRequest, now: Timestamp) -> Result<BTreeSet<Principal>, String> {
        let mut all = BTreeSet::new();
        for resource in self.resources.iter().filter(|resource| is_about(resource, asked)) {
            let owners = resource.owners.of(asked, now).map_err(|_| {
                format!(
                    "Who owns this client cannot be told: `owners` of the resource `{}` has no value.",
                    resource.name
                )
            })?;
            all.extend(owners);
        }
        Ok(all)
    }

    /// Why a token request is refused although it is ruled to be asked about, or to break the glass: its rules want what
    /// it does not have, it cannot be told who must not decide, or nobody breaks the glass like that.
    pub fn refused_all_the_same(&self, asked: &TokenRequest, ruling: &Ruling, now: Timestamp) -> Option<Refused> {
        let ownerless = || Some(Refused { rule: None, says: self.owners(asked, now).err()? });
        match ruling {
            Ruling::Asked(question) => question.not_now.clone().or_else(ownerless),
            Ruling::BreakGlass(glass) => glass.refuses(asked),
            Ruling::Refused(_) | Ruling::Allowed(_) | Ruling::Observed(_) => None,
        }
    }
}

/// Where no audience is named, every resource that knows a scope of it may be meant.
fn is_about(resource: &Resource, asked: &TokenRequest) -> bool {
    let knows = || asked.scopes.iter().any(|scope| resource.scopes.contains_key(scope));
    asked.audience.contains(&resource.audience) || (asked.audience.is_empty() && knows())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(client: &str) -> TokenRequest {
        serde_json::from_value(json!({
            "hook": "shop", "grant_type": "client_credentials", "client": {"id": client},
            "subject": {"kind": "client", "id": client}, "scopes": ["a"], "audience": ["https://x.example"],
            "context": {"team": ["Carol@Example.com ", "dora@example.com", ""]},
        }))
        .unwrap()
    }

    fn owners(source: &str, client: &str) -> Option<Vec<String>> {
        let owners = Owners::compile(source).unwrap().of(&asked(client), Timestamp::UNIX_EPOCH).ok()?;
        Some(owners.iter().map(|one| one.as_str().to_owned()).collect())
    }

    #[test]
    fn an_expression_gives_a_list_of_identities_in_their_one_spelling() {
        let both = vec!["carol@example.com".to_owned(), "dora@example.com".to_owned()];
        assert_eq!(owners("context.team", "job"), Some(both));
        let by_client = "client.id == 'job' ? ['BOB@example.com'] : []";
        assert_eq!(owners(by_client, "job"), Some(vec!["bob@example.com".to_owned()]));
        assert_eq!(owners(by_client, "other"), Some(Vec::new()));
    }

    #[test]
    fn what_has_no_value_or_is_no_list_of_texts_names_nobody_and_says_so() {
        assert_eq!(owners("context.nobody", "job"), None);
        assert_eq!(owners("has(context.team) ? [1] : ['x']", "job"), None);
    }

    #[test]
    fn what_can_never_work_is_found_when_the_policy_is_loaded() {
        for bad in
            ["client.id", "[1]", "true", "nobody", "client.owner", "[scope]", "[reason]", "first_time ? [] : []", "["]
        {
            assert!(Owners::compile(bad).is_err(), "{bad}");
        }
    }
}
