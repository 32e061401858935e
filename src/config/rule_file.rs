//! The rules of `policy.toml`. What later versions bring is read and checked as well, and refuses whatever
//! falls under it until then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use super::reader::Section;
use super::values;
use crate::domain::ids::{SetName, SlackChannelId};
use crate::domain::policy::{
    ApproverSet, Ask, Bounds, BreakGlass, Ceremony, Condition, LONGEST, Mode, Notify, NotifyBy, OnDeactivation,
    Outcome, ReasonRule, Reminder, Requirement, Rule, SelfApproval, Use, Uses, compile_pattern,
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
/// The words for how a rule or a hook is enforced.
pub(super) const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
const SELF_APPROVALS: [(&str, SelfApproval); 3] =
    [("never", SelfApproval::Never), ("with_reason", SelfApproval::WithReason), ("allowed", SelfApproval::Allowed)];
const NOTIFY_BY: [(&str, NotifyBy); 3] =
    [("channel", NotifyBy::Channel), ("direct", NotifyBy::Direct), ("both", NotifyBy::Both)];
const ON_DEACTIVATION: [(&str, OnDeactivation); 2] =
    [("keep", OnDeactivation::Keep), ("revoke", OnDeactivation::Revoke)];
const A_LIFETIME: &str = "how long access may last, like \"2h\"";

type Sets = BTreeMap<SetName, ApproverSet>;

/// Reads one `[[rule]]`. Everything wrong with it is reported; none where that leaves no rule.
pub(super) fn read(section: Section<'_>, sets: &Sets) -> Option<Rule> {
    let name = section.need("name", "a name to show and to record", values::text);
    let verdicts: Vec<&str> = VERDICTS.into_iter().filter(|verdict| section.has(verdict)).collect();
    if verdicts.len() != 1 {
        let found = if verdicts.is_empty() { "no verdict".to_owned() } else { verdicts.join(" and ") };
        section.wrong_here(&found, ONE_VERDICT);
    }
    let lets_through = section.has("allow") || section.has("break_glass");
    let purpose = if lets_through { Use::LetsThrough } else { Use::RefusesOrAsks };
    let when = condition(&section, purpose);
    let mut reading = Reading { sets, pattern: None };
    let outcome = reading.outcome(&section);
    let reason_pattern = reading.pattern;
    let mode = section.read("mode", |v| values::one_of(v, &MODES)).unwrap_or_default();
    section.done();
    Some(Rule { name: name?, when: when?, outcome: outcome?, reason_pattern, mode })
}

fn condition(section: &Section<'_>, purpose: Use) -> Option<Condition> {
    let source = section.need("when", "a CEL condition", values::text)?;
    Condition::compile(&source, purpose)
        .map_err(|error| section.wrong("when", &source, &format!("a condition that can be used, but {error}")))
        .ok()
}

struct Reading<'r> {
    sets: &'r Sets,
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
        let mut requirements: Vec<Requirement> = Vec::new();
        for one in section.sections("ask_all", "") {
            let Some(wanted) = self.requirement(&one) else { continue };
            // The same sets twice want that many people more: inside of one rule they are distinct.
            match requirements.iter_mut().find(|known| known.approvers == wanted.approvers) {
                Some(known) => known.count = known.count.saturating_add(wanted.count.get()),
                None => requirements.push(wanted),
            }
            one.done();
        }
        let Some(limits) = limits else {
            section.wrong("limits", "nothing", "a table with max_duration, and what else an ask may say");
            return None;
        };
        let terms = self.terms(&limits);
        limits.done();
        if requirements.is_empty() {
            section.wrong("ask_all", "nobody who must agree", "at least one table with approvers and approvals");
            return None;
        }
        Some(Outcome::Ask(Arc::new(Ask { requirements, ..terms? })))
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
        let reason = section.section("reason").map(|reason| self.reason(reason));
        let channel = section.read("channel", |v| values::name(v, |t| SlackChannelId::parse(t)));
        let self_approval = section.read("self_approval", |v| values::one_of(v, &SELF_APPROVALS)).unwrap_or_default();
        let reminders = self.reminders(section, decide_within);
        let notify = section.section("notify").map(|notify| self.notify(notify)).unwrap_or_default();
        let on_deactivation =
            section.read("on_deactivation", |v| values::one_of(v, &ON_DEACTIVATION)).unwrap_or_default();
        let on_behalf = section.read("on_behalf", values::truth).unwrap_or(false);
        let bounds = Bounds { max_duration: max_duration?, max_token_lifetime, collect_within, uses };
        Some(Ask {
            requirements: Vec::new(),
            bounds,
            decide_within,
            ceremony,
            reason,
            channel,
            self_approval,
            reminders,
            notify,
            on_deactivation,
            on_behalf,
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

    /// A list of approver sets that must name at least one.
    fn somebody(&self, section: &Section<'_>, key: &'static str) -> Option<Vec<SetName>> {
        let named: BTreeSet<SetName> = self.known_sets(section, key).into_iter().collect();
        if section.value(key).and_then(|v| v.get_ref().as_array()).is_some_and(|list| list.is_empty()) {
            section.wrong(key, "an empty list", "a list of approver sets");
        }
        (!named.is_empty()).then(|| named.into_iter().collect())
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

    /// When somebody is told that nobody has decided yet: those who were asked, or others.
    fn reminders(&self, section: &Section<'_>, decide_within: u64) -> Vec<Reminder> {
        const BEFORE_THE_END: &str = "a time before the request expires (decide_within)";
        let mut all = Vec::new();
        if let Some(after) = section.read("remind_after", values::seconds) {
            if after >= decide_within {
                section.wrong("remind_after", &format!("{after} s"), BEFORE_THE_END);
            }
            all.push(Reminder { after, to: Vec::new() });
        }
        for one in section.sections("escalate", "") {
            let after = one.need("after", "when to tell more people, like \"20m\"", values::seconds);
            one.missing("to", "a list of approver sets");
            let to = self.somebody(&one, "to");
            if after.is_some_and(|after| after >= decide_within) {
                one.wrong("after", "a later time", BEFORE_THE_END);
            }
            all.extend(after.zip(to).map(|(after, to)| Reminder { after, to }));
            one.done();
        }
        all.sort();
        all
    }

    /// Who hears of a new card, apart from who may decide.
    fn notify(&self, section: Section<'_>) -> Notify {
        let to = self.known_sets(&section, "to");
        let by = section.read("by", |v| values::one_of(v, &NOTIFY_BY)).unwrap_or_default();
        section.done();
        Notify { to, by }
    }

    fn break_glass(&self, section: Section<'_>) -> Option<Outcome> {
        let max_duration = section.need("max_duration", A_LIFETIME, values::seconds);
        let max_token_lifetime = section.read("max_token_lifetime", values::seconds).unwrap_or(MAX_TOKEN_LIFETIME);
        section.missing("requesters", "a list of approver sets: who may break the glass");
        let requesters = self.somebody(&section, "requesters");
        section.missing("tell", "a list of approver sets: who is told, and who reviews it");
        let tell = self.somebody(&section, "tell");
        let review_within =
            section.need("review_within", "when it must have been reviewed, like \"24h\"", values::seconds);
        section.done();
        let (collect_within, uses) = (LONGEST, Uses::Window);
        let bounds = Bounds { max_duration: max_duration?, max_token_lifetime, collect_within, uses };
        let (requesters, tell, review_within) = (requesters?, tell?, review_within?);
        Some(Outcome::BreakGlass(Arc::new(BreakGlass { bounds, requesters, tell, review_within })))
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
