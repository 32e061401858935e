//! `policy.toml`: who may get what, and who must agree, read into a [`Policy`].

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::reader::{ConfigErrors, Findings, Section};
use super::{rule_file, values};
use crate::domain::hashing::sha256_hex;
use crate::domain::identity::Principal;
use crate::domain::ids::{HookName, SetName, SlackGroupId, SlackUserId};
use crate::domain::policy::{
    ApproverSet, Limits, Owners, Partial, Policy, PolicyVersion, Resource, Risk, Rule, ScopeText,
};
use crate::domain::scope::Scope;

/// The words for a risk.
pub(super) const RISKS: [(&str, Risk); 4] =
    [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High), ("critical", Risk::Critical)];

const PARTIALS: [(&str, Partial); 2] = [("hold", Partial::Hold), ("issue", Partial::Issue)];

/// How long a denial refuses unless the policy says otherwise, in seconds.
const DENIAL_COOLDOWN: u64 = 10 * 60;

/// Reads a policy; `file` is what messages call it.
///
/// # Errors
/// [`ConfigErrors`], every mistake that was found.
pub fn parse(file: &str, text: &str) -> Result<Policy, ConfigErrors> {
    let findings = Findings::new(file, text);
    let Some(table) = findings.parse() else { return findings.conclude(None) };
    let policy = read(Section::root(&findings, &table), text);
    findings.conclude(Some(policy))
}

fn read(root: Section<'_>, text: &str) -> Policy {
    let mut warnings = Vec::new();
    let approvers = root.section("approvers").map(|section| approver_sets(&section)).unwrap_or_default();
    let resources = resources(&root);
    let rules: Vec<Rule> =
        root.sections("rule", "name").into_iter().filter_map(|section| rule_file::read(section, &approvers)).collect();
    distinct(&root, "rule", rules.iter().map(|rule| rule.name.as_str()));
    if rules.is_empty() {
        warnings.push("There is no rule: every request is refused.".to_owned());
    }
    let policy = Policy {
        version: PolicyVersion(sha256_hex(text.as_bytes())),
        approvers,
        resources,
        rules: rules.into(),
        limits: limits(&root),
        shared: root.read("shared", values::truth).unwrap_or(false),
        partial: root.read("partial", |v| values::one_of(v, &PARTIALS)).unwrap_or_default(),
        usual_channels: BTreeMap::new(),
        warnings,
    };
    root.done();
    policy
}

/// What one might write to put an approver set into another. They would have to be kept from forming a circle, and
/// nobody could see from a rule who decides.
const NESTED: [&str; 5] = ["approvers", "sets", "members", "include", "includes"];

fn approver_sets(section: &Section<'_>) -> BTreeMap<SetName, ApproverSet> {
    let mut sets = BTreeMap::new();
    for (key, set) in section.named_sections() {
        let name = SetName::parse(key).map_err(|error| section.wrong(key, &format!("{key:?}"), error.wanted)).ok();
        let users: BTreeSet<_> =
            set.list("slack_users", |v| values::name(v, |t| SlackUserId::parse(t))).into_iter().collect();
        let groups: BTreeSet<_> =
            set.list("slack_groups", |v| values::name(v, |t| SlackGroupId::parse(t))).into_iter().collect();
        let someone = ["slack_users", "slack_groups"]
            .iter()
            .any(|key| set.value(key).and_then(|list| list.get_ref().as_array()).is_some_and(|list| !list.is_empty()));
        let keys = set.entries();
        let nested = NESTED.into_iter().find(|nested| keys.iter().any(|(key, _)| key == nested));
        if let Some(key) = nested.filter(|key| set.has(key)) {
            set.wrong(
                key,
                "an approver set inside of an approver set",
                "slack_users and slack_groups: sets do not nest",
            );
        } else if !someone {
            set.wrong_here("an approver set with nobody in it", "slack_users, slack_groups, or both");
        }
        set.done();
        sets.extend(name.map(|name| (name, ApproverSet { users, groups })));
    }
    sets
}

fn resources(root: &Section<'_>) -> Vec<Resource> {
    let all: Vec<Resource> = root.sections("resource", "audience").into_iter().filter_map(resource).collect();
    distinct(root, "resource", all.iter().map(|resource| resource.audience.as_str()));
    all
}

fn resource(section: Section<'_>) -> Option<Resource> {
    let audience = section.need("audience", "the audience that it speaks about", values::text);
    let name = section.read("name", values::text).or_else(|| audience.clone());
    let clients = section.list("clients", values::text);
    let hooks = section.list("hooks", |v| values::name(v, |t| HookName::parse(t)));
    let owners = section.read("owners", owners).unwrap_or_default();
    let mut scopes = BTreeMap::new();
    for one in section.sections("scope", "name") {
        let name = one.need("name", "the scope that it explains", scope);
        let says = one.need("says", "what the scope means, in words", values::text);
        let risk = one.read("risk", |v| values::one_of(v, &RISKS));
        let less = one.read("less", scope);
        if let (Some(name), Some(says)) = (name, says)
            && scopes.insert(name.clone(), ScopeText { says, risk, less }).is_some()
        {
            one.wrong("name", &format!("{:?} for the second time", name.as_str()), "each scope once");
        }
        one.done();
    }
    for (name, text) in &scopes {
        if let Some(less) = text.less.as_ref().filter(|less| !scopes.contains_key(*less)) {
            let found = format!("{:?} as what is less than {:?}", less.as_str(), name.as_str());
            section.wrong("scope", &found, "another scope of the same resource");
        }
    }
    section.done();
    Some(Resource { audience: audience?, name: name?, clients, hooks, owners, scopes })
}

/// A list of identities, or one text: a CEL expression that gives such a list.
fn owners(value: &DeValue<'_>) -> Result<Owners, String> {
    const OWNERS: &str = "a list of identities, or a CEL expression that gives one";
    match value {
        DeValue::Array(list) => {
            let names: Result<BTreeSet<_>, String> =
                list.iter().map(|one| values::text(one.get_ref()).map(|name| Principal::new(&name))).collect();
            names.map(Owners::Named).map_err(|_| OWNERS.to_owned())
        }
        DeValue::String(source) => Owners::compile(source).map_err(|error| format!("{OWNERS}, but {error}")),
        _ => Err(OWNERS.to_owned()),
    }
}

/// One scope token that names something.
fn scope(value: &DeValue<'_>) -> Result<Scope, String> {
    let text = values::text(value).map_err(|_| A_SCOPE)?;
    Scope::try_from(text).map_err(|_| A_SCOPE.to_owned())
}

const A_SCOPE: &str = "one scope, as RFC 6749 section 3.3 writes it";

fn limits(root: &Section<'_>) -> Limits {
    let section = root.section("limits");
    let number = |key| section.as_ref().and_then(|section| section.read(key, |v| values::number(v, 1)));
    let limits = Limits {
        pending_per_subject: number("pending_per_subject"),
        pending_per_client: number("pending_per_client"),
        cards_per_approver_per_hour: number("cards_per_approver_per_hour"),
        denial_cooldown: section
            .as_ref()
            .and_then(|section| section.read("denial_cooldown", values::seconds))
            .unwrap_or(DENIAL_COOLDOWN),
    };
    if let Some(section) = section {
        section.done();
    }
    limits
}

/// Reports what is called the same twice.
fn distinct<'n>(root: &Section<'_>, key: &str, names: impl Iterator<Item = &'n str>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            root.wrong(key, &format!("{name:?} for the second time"), "each name once");
        }
    }
}
