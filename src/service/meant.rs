//! What the words of a slash command name: a client, scopes, an audience, a person.

use super::Service;
use super::ahead::Wish;
use super::commands::ROWS;
use super::workspaces::Place;
use crate::domain::identity::Principal;
use crate::domain::policy::{Policy, Resource};
use crate::domain::scope::{Scope, ScopeSet};
use crate::slack::access_command::AskLine;
use crate::slack::text::code;

impl Service {
    /// What the words of one line name.
    pub(super) fn wish_of(&self, place: &Place, asked: &AskLine, command: &str) -> Result<Wish, String> {
        let policy = self.policy();
        let clients: Vec<&String> = policy.resources.iter().flat_map(|resource| &resource.clients).collect();
        let (named, rest): (Vec<&String>, Vec<&String>) = asked.words.iter().partition(|word| clients.contains(word));
        let mut distinct = clients.clone();
        distinct.sort();
        distinct.dedup();
        let client = match (named.as_slice(), distinct.as_slice()) {
            ([client], _) => (*client).clone(),
            ([], [client]) => (*client).clone(),
            ([], []) => return Err("Nothing is offered here: the policy names no client for it.".to_owned()),
            ([], all) => {
                let all: Vec<String> = all.iter().take(ROWS).map(|client| code(client)).collect();
                return Err(format!("Name the client, one of {}. See {} `help`.", all.join(", "), code(command)));
            }
            (several, _) => return Err(format!("You named {} clients; name one.", several.len())),
        };
        let is_place =
            |resource: &Resource, word: &str| resource.audience == word || resource.name.eq_ignore_ascii_case(word);
        let (places, scopes): (Vec<&String>, Vec<&String>) =
            rest.into_iter().partition(|word| policy.resources.iter().any(|resource| is_place(resource, word)));
        if scopes.is_empty() {
            return Err(format!("Name what you need: at least one scope. See {} `help`.", code(command)));
        }
        let scopes = ScopeSet::collect(scopes.into_iter().map(String::as_str)).map_err(|error| format!("{error}."))?;
        let offers = |resource: &&Resource| {
            resource.clients.contains(&client) && places.iter().all(|place| is_place(resource, place))
        };
        let fitting: Vec<&Resource> = policy
            .resources
            .iter()
            .filter(offers)
            .filter(|resource| scopes.iter().all(|scope| resource.scopes.contains_key(scope)))
            .collect();
        let resource = match fitting.as_slice() {
            [one] => *one,
            [] => return Err(not_offered(&policy, &client, &scopes, offers)),
            several => {
                let names: Vec<String> = several.iter().map(|resource| code(&resource.audience)).collect();
                return Err(format!("That is offered at {}: say which, with `on`.", names.join(" and ")));
            }
        };
        Ok(Wish {
            client: client.clone(),
            audience: resource.audience.clone(),
            scopes,
            lifetime: asked.lifetime,
            starts_at: asked.starts_at,
            reason: asked.reason.clone(),
            subject: asked.subject.as_deref().map(|name| named_person(place, name)).transpose()?,
        })
    }
}

/// A person by identifier or by mention.
fn named_person(place: &Place, name: &str) -> Result<Principal, String> {
    let Some(user) = name.strip_prefix('@') else { return Ok(Principal::new(name)) };
    let directory = place.directory();
    let found = directory.users.iter().find(|(id, _)| id.as_str() == user).map(|(_, who)| who.clone());
    found.ok_or_else(|| "That person is not mapped to anybody in the directory.".to_owned())
}

fn not_offered(policy: &Policy, client: &str, scopes: &ScopeSet, offers: impl Fn(&&Resource) -> bool) -> String {
    let known = |scope: &&Scope| policy.resources.iter().filter(&offers).any(|one| one.scopes.contains_key(*scope));
    let unknown: Vec<String> = scopes.iter().filter(|scope| !known(scope)).map(|scope| code(scope.as_str())).collect();
    if unknown.is_empty() {
        format!("These scopes belong to different resources of {}: ask for each on its own.", code(client))
    } else {
        format!("Through {} there is no {} to ask for.", code(client), unknown.join(" and no "))
    }
}
