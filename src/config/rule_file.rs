//! The rules of `policy.toml`. What later versions bring is read and checked as well, and refuses whatever
//! falls under it until then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use super::reader::Section;
use super::values;
use crate::domain::ids::{SetName, SlackChannelId};
use crate::domain::policy::{
    ApproverSet, Ask, Bounds, Ceremony, Condition, LONGEST, Outcome, ReasonRule, Requirement, Rule, Use, Uses,
    compile_pattern,
};
use crate::domain::scope::ScopeSet;

const DECIDE_WITHIN: u64 = 30 * 60;
const COLLECT_WITHIN: u64 = 15 * 60;
const MAX_TOKEN_LIFETIME: u64 = 10 * 60;
const VERDICTS: [&str; 5] = ["allow", "deny", "ask", "ask_all", "break_glass"];
const ONE_VERDICT: &str = "exactly one of allow, deny, ask, ask_all, break_glass";
const CEREMONIES: [(&str, Ceremony); 4] = [
    ("click", Ceremony::Click),
    ("confirm", Ceremony::Confirm),
    ("match", Ceremony::Match),
    ("step_up", Ceremony::StepUp),
];
const A_LIFETIME: &str = "how long access may last, like \"2h\"";

type Sets = BTreeMap<SetName, ApproverSet>;

/// Reads one `[[rule]]`. Everything wrong with it is reported; none where that leaves no rule.
pub(super) fn read(section: Section<'_>, sets: &Sets, warnings: &mut Vec<String>) -> Option<Rule> {
    let name = section.need("name", "a name to show and to record", values::text);
    let verdicts: Vec<&str> = VERDICTS.into_iter().filter(|verdict| section.has(verdict)).collect();
    if verdicts.len() != 1 {
        let found = if verdicts.is_empty() { "no verdict".to_owned() } else { verdicts.join(" and ") };
        section.wrong_here(&found, ONE_VERDICT);
    }
    let lets_through = section.has("allow") || section.has("break_glass");
    let purpose = if lets_through { Use::LetsThrough } else { Use::RefusesOrAsks };
    let when = condition(&section, purpose);
    let mut reading = Reading { name: name.as_deref().unwrap_or_default(), sets, warnings, pattern: None };
    let outcome = reading.outcome(&section);
    let reason_pattern = reading.pattern;
    section.done();
    Some(Rule { name: name?, when: when?, outcome: outcome?, reason_pattern })
}

fn condition(section: &Section<'_>, purpose: Use) -> Option<Condition> {
    let source = section.need("when", "a CEL condition", values::text)?;
    Condition::compile(&source, purpose)
        .map_err(|error| section.wrong("when", &source, &format!("a condition that can be used, but {error}")))
        .ok()
}

struct Reading<'r> {
    name: &'r str,
    sets: &'r Sets,
    warnings: &'r mut Vec<String>,
    pattern: Option<Regex>,
}

impl Reading<'_> {
    fn outcome(&mut self, section: &Section<'_>) -> Option<Outcome> {
        let allow = section.section("allow").and_then(allow);
        let deny = section.read("deny", values::text).map(Outcome::Deny);
        let ask = section.section("ask").and_then(|ask| self.ask(ask));
        let ask_all = self.ask_all(section);
        let break_glass = section.section("break_glass").and_then(|glass| self.break_glass(glass));
        allow.or(deny).or(ask).or(ask_all).or(break_glass)
    }

    fn ask(&mut self, section: Section<'_>) -> Option<Outcome> {
        let requirement = self.requirement(&section);
        let terms = self.terms(&section);
        section.done();
        Some(Outcome::Ask(Arc::new(Ask { requirements: vec![requirement?], ..terms? })))
    }

    /// Several groups that must agree together, with their terms under `limits`.
    fn ask_all(&mut self, section: &Section<'_>) -> Option<Outcome> {
        let asked = section.has("ask_all");
        let limits = section.section("limits");
        if !asked {
            if limits.is_some() {
                section.wrong("limits", "limits", "limits beside ask_all; in an ask they stand in the ask itself");
            }
            return None;
        }
        let mut requirements = Vec::new();
        for one in section.sections("ask_all", "") {
            requirements.extend(self.requirement(&one));
            one.done();
        }
        let Some(limits) = limits else {
            section.wrong("limits", "nothing", "a table with max_duration, and what else an ask may say");
            return None;
        };
        let terms = self.terms(&limits);
        limits.done();
        let unenforced = Some(self.not_yet("`ask_all`, several groups that must agree together"));
        Some(Outcome::Ask(Arc::new(Ask { requirements, unenforced, ..terms? })))
    }

    /// What an ask says besides who must agree.
    fn terms(&mut self, section: &Section<'_>) -> Option<Ask> {
        let max_duration = section.need("max_duration", A_LIFETIME, values::seconds);
        let time = |key, default| section.read(key, values::seconds).unwrap_or(default);
        let max_token_lifetime = time("max_token_lifetime", MAX_TOKEN_LIFETIME);
        let decide_within = time("decide_within", DECIDE_WITHIN);
        let collect_within = time("collect_within", COLLECT_WITHIN);
        let uses = section.read("uses", values::uses).unwrap_or(Uses::Window);
        let ceremony = section.read("ceremony", |v| values::one_of(v, &CEREMONIES)).unwrap_or(Ceremony::Click);
        let unenforced = match ceremony {
            Ceremony::Click | Ceremony::Confirm => None,
            Ceremony::Match => Some(self.not_yet("the ceremony `match`")),
            Ceremony::StepUp => Some(self.not_yet("the ceremony `step_up`")),
        };
        let reason = section.section("reason").map(|reason| self.reason(reason));
        let channel = section.read("channel", |v| values::name(v, |t| SlackChannelId::parse(t)));
        let notify_later = self.notify_later(section);
        let bounds = Bounds { max_duration: max_duration?, max_token_lifetime, collect_within, uses };
        Some(Ask {
            requirements: Vec::new(),
            bounds,
            decide_within,
            ceremony,
            reason,
            channel,
            notify_later,
            unenforced,
        })
    }

    fn requirement(&self, section: &Section<'_>) -> Option<Requirement> {
        section.missing("approvers", "a list of approver sets");
        let approvers: BTreeSet<SetName> = self.known_sets(section, "approvers").into_iter().collect();
        let count = section.need("approvals", "how many people must agree, from 1 up", values::people)?;
        if approvers.is_empty() {
            if section.value("approvers").and_then(|v| v.get_ref().as_array()).is_some_and(|list| list.is_empty()) {
                section.wrong("approvers", "an empty list", "a list of approver sets");
            }
            return None;
        }
        let named: Vec<&ApproverSet> = approvers.iter().filter_map(|set| self.sets.get(set)).collect();
        let people: BTreeSet<_> = named.iter().flat_map(|set| &set.users).collect();
        // Nobody at all is a mistake that was told already, where the set stands.
        let closed = !people.is_empty() && named.iter().all(|set| set.groups.is_empty());
        if closed && people.len() < usize::from(count.get()) {
            let found = format!("{count} people out of {}", people.len());
            section.wrong("approvals", &found, "no more people than the approver sets name");
        }
        Some(Requirement { approvers: approvers.into_iter().collect(), count, scopes: ScopeSet::default() })
    }

    fn known_sets(&self, section: &Section<'_>, key: &'static str) -> Vec<SetName> {
        section.list(key, |value| {
            let names: Vec<&str> = self.sets.keys().map(SetName::as_str).collect();
            let allowed = || format!("an approver set of this policy: {}", names.join(", "));
            values::name(value, |text| SetName::parse(text))
                .ok()
                .filter(|name| self.sets.contains_key(name))
                .ok_or_else(allowed)
        })
    }

    fn reason(&mut self, section: Section<'_>) -> ReasonRule {
        let required = section.read("required", values::truth).unwrap_or(true);
        let matches = section.read("matches", values::text);
        let says = section.read("says", values::text);
        if let Some(pattern) = &matches {
            match compile_pattern(pattern) {
                Ok(compiled) => self.pattern = Some(compiled),
                Err(error) => section.wrong("matches", pattern, &format!("a regular expression, but {error}")),
            }
        }
        let says = says.unwrap_or_else(|| match &matches {
            Some(pattern) => format!("Give a reason that matches {pattern}"),
            None => "Give a reason".to_owned(),
        });
        section.done();
        ReasonRule { required, matches, says }
    }

    /// Reminders and escalations: conveniences, which nothing acts upon yet.
    fn notify_later(&mut self, section: &Section<'_>) -> bool {
        let remind = section.read("remind_after", values::seconds).is_some();
        let escalations = section.sections("escalate", "");
        let escalate = !escalations.is_empty();
        for one in escalations {
            one.need("after", "when to tell more people, like \"20m\"", values::seconds);
            one.missing("to", "a list of approver sets");
            self.known_sets(&one, "to");
            one.done();
        }
        for (named, key, what) in [(remind, "remind_after", "reminded"), (escalate, "escalate", "told")] {
            if named {
                let rule = self.name;
                self.warnings.push(format!("Rule `{rule}`: {key} is not there yet: nobody is {what} later."));
            }
        }
        remind || escalate
    }

    fn break_glass(&mut self, section: Section<'_>) -> Option<Outcome> {
        section.need("max_duration", A_LIFETIME, values::seconds);
        section.read("max_token_lifetime", values::seconds);
        section.missing("requesters", "a list of approver sets: who may break the glass");
        self.known_sets(&section, "requesters");
        section.missing("tell", "a list of approver sets: who is told");
        self.known_sets(&section, "tell");
        section.need("review_within", "when it must have been reviewed, like \"24h\"", values::seconds);
        section.done();
        Some(Outcome::Deny(self.not_yet("break-glass")))
    }

    /// Words for what this version refuses because it cannot enforce it; also a warning.
    fn not_yet(&mut self, what: &str) -> String {
        let rule = self.name;
        self.warnings
            .push(format!("Rule `{rule}` needs {what}, which is not there yet: it refuses what falls under it."));
        format!("The rule `{rule}` needs {what}, which this version does not enforce yet, so it refuses.")
    }
}

/// Nobody is asked, so there is nothing to collect and no number of uses.
fn allow(section: Section<'_>) -> Option<Outcome> {
    let max_duration = section.need("max_duration", A_LIFETIME, values::seconds);
    let max_token_lifetime = section.read("max_token_lifetime", values::seconds).unwrap_or(MAX_TOKEN_LIFETIME);
    section.done();
    let (collect_within, uses) = (LONGEST, Uses::Window);
    Some(Outcome::Allow(Bounds { max_duration: max_duration?, max_token_lifetime, collect_within, uses }))
}
