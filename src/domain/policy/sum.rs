//! The sum of the verdicts: what may be issued, what must be asked, what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Ask, Bounds, BreakGlass, Ceremony, Glass, Judged, LONGEST, Mode, Notify, NotifyBy, Outcome, Policy, Question,
    Refused, Requirement, Resource, Risk, Rule, Ruling, ScopeText, Terms, Uses, glass,
};
use crate::domain::ids::{SetName, SlackChannelId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::TokenRequest;

/// What is said where approvers must type a number and there is none.
const NO_NUMBER: &str = "Approvers must type the number that the client shows its user, and this call names none: send it as binding_message.";

/// An *ask* with the scope and the rule it comes from.
struct Asking<'a> {
    scope: Scope,
    rule: String,
    ask: Arc<Ask>,
    from: Option<&'a Rule>,
}

/// The verdicts of one token request, sorted.
#[derive(Default)]
struct Sum<'a> {
    refused: BTreeMap<Scope, Refused>,
    rules: BTreeMap<Scope, String>,
    bounds: Bounds,
    asking: Vec<Asking<'a>>,
    glasses: Vec<(Scope, Arc<BreakGlass>)>,
    allows: bool,
}

impl<'a> Sum<'a> {
    fn add(&mut self, policy: &'a Policy, asked: &TokenRequest, one: Judged) {
        let Judged { scope, rule, outcome, mode } = one;
        let name = rule.clone().unwrap_or_default();
        if mode == Mode::Observe {
            // Whatever it would have decided: it only looks on.
            self.rules.insert(scope, name);
            return;
        }
        match outcome {
            Outcome::Deny(says) => {
                self.refused.insert(scope, Refused { rule, says });
                return;
            }
            Outcome::Allow(_) if policy.risk(asked, &scope) == Some(Risk::Critical) => {
                let says = format!("{scope} is critical: it is never issued without asking people.");
                self.refused.insert(scope, Refused { rule, says });
                return;
            }
            Outcome::Allow(allowed) => {
                self.bounds = self.bounds.smaller(&allowed);
                self.allows = true;
            }
            Outcome::Ask(ask) => {
                self.bounds = self.bounds.smaller(&ask.bounds);
                let from = policy.rules.named(&name);
                self.asking.push(Asking { scope: scope.clone(), rule: name.clone(), ask, from });
            }
            Outcome::BreakGlass(glass) => {
                self.bounds = self.bounds.smaller(&glass.bounds);
                self.glasses.push((scope.clone(), glass));
            }
        }
        self.rules.insert(scope, name);
    }

    /// Beside what people are asked about, nothing is granted at once: it must be asked for alone.
    fn keep_glass_out(&mut self) {
        for (scope, _) in std::mem::take(&mut self.glasses) {
            let rule = self.rules.remove(&scope);
            self.refused.insert(scope.clone(), glass::alone(&scope, rule));
        }
    }
}

impl Policy {
    /// Adds the verdicts up. Where the server can issue fewer scopes than asked (`narrow_scope`), refused
    /// ones drop out; where it cannot, or where nothing is left, everything is refused. What an observed rule
    /// decides passes, and leaves the others to those that are enforced.
    pub fn rule(&self, asked: &TokenRequest, judged: Vec<Judged>, narrow_scope: bool) -> Ruling {
        let mut sum = Sum::default();
        for one in judged {
            sum.add(self, asked, one);
        }
        if !sum.glasses.is_empty() && !sum.asking.is_empty() {
            sum.keep_glass_out();
        }
        let Sum { refused, rules, bounds, asking, glasses, allows } = sum;
        if rules.is_empty() || (!refused.is_empty() && !narrow_scope) {
            return Ruling::Refused(all_refused(&refused, &rules));
        }
        let terms = Terms { scopes: rules.keys().cloned().collect(), dropped: refused, rules, bounds };
        match (asking.is_empty(), glasses.is_empty()) {
            (false, _) => Ruling::Asked(self.question(asked, terms, &asking)),
            (true, false) => {
                let glasses: Vec<Arc<BreakGlass>> = glasses.into_iter().map(|(_, glass)| glass).collect();
                Ruling::BreakGlass(Glass::of(terms, &glasses))
            }
            (true, true) if allows => Ruling::Allowed(terms),
            (true, true) => Ruling::Observed(terms),
        }
    }

    fn question(&self, asked: &TokenRequest, terms: Terms, asking: &[Asking<'_>]) -> Question {
        let asks = || asking.iter().map(|one| &one.ask);
        Question {
            terms,
            requirements: requirements(asking),
            shared: self.shared,
            decide_within: asks().map(|ask| ask.decide_within).min().unwrap_or(LONGEST),
            ceremony: asks().map(|ask| ask.ceremony).max().unwrap_or(Ceremony::Click),
            channels: self.channels(asked, asking),
            asked: asking.iter().map(|one| one.scope.clone()).collect(),
            self_approval: asks().map(|ask| ask.self_approval).min().unwrap_or_default(),
            reminders: asks()
                .flat_map(|ask| ask.reminders.iter().cloned())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            notify: notify(asks()),
            on_deactivation: asks().map(|ask| ask.on_deactivation).max().unwrap_or_default(),
            not_now: asking.iter().find_map(|one| self.not_now(asked, one)),
        }
    }

    /// The channels that rules name, in order. The usual one joins them where another rule names none.
    fn channels(&self, asked: &TokenRequest, asking: &[Asking<'_>]) -> Vec<SlackChannelId> {
        let mut channels: Vec<SlackChannelId> = Vec::new();
        if asking.iter().all(|one| one.ask.channel.is_none()) {
            return channels;
        }
        let usual = self.usual_channels.get(&asked.hook);
        for channel in asking.iter().filter_map(|one| one.ask.channel.as_ref().or(usual)) {
            if !channels.contains(channel) {
                channels.push(channel.clone());
            }
        }
        channels
    }

    /// Why no access request may be opened for this scope, if so.
    fn not_now(&self, asked: &TokenRequest, one: &Asking<'_>) -> Option<Refused> {
        let critical = || {
            let weak = one.ask.people_needed(self.shared) < 2 && one.ask.ceremony < Ceremony::Match;
            (weak && self.risk(asked, &one.scope) == Some(Risk::Critical)).then(|| {
                let scope = &one.scope;
                format!("{scope} is critical and needs two people or a stronger ceremony; its rule asks for less.")
            })
        };
        let numberless = || {
            let needs = one.ask.ceremony == Ceremony::Match && !asked.shows_a_number();
            needs.then(|| NO_NUMBER.to_owned())
        };
        let says = critical().or_else(numberless);
        let says = says.or_else(|| missing_reason(asked, one))?;
        Some(Refused { rule: Some(one.rule.clone()), says })
    }

    /// What a scope means at the audience of a token request. Where several audiences explain it, the one
    /// with the highest risk; where none is named, any resource that knows the scope may explain it.
    pub fn resource_text(&self, asked: &TokenRequest, scope: &Scope) -> Option<&ScopeText> {
        let speaks = |resource: &&Resource| asked.audience.is_empty() || asked.audience.contains(&resource.audience);
        self.resources
            .iter()
            .filter(speaks)
            .filter_map(|resource| resource.scopes.get(scope))
            .max_by_key(|text| text.risk)
    }

    /// The name for people of an audience.
    pub fn resource_name(&self, audience: &str) -> Option<&str> {
        self.resources.iter().find(|resource| resource.audience == audience).map(|resource| resource.name.as_str())
    }

    fn risk(&self, asked: &TokenRequest, scope: &Scope) -> Option<Risk> {
        self.resource_text(asked, scope).and_then(|text| text.risk)
    }
}

impl Default for Bounds {
    /// What bounds nothing: the start of a smallest.
    fn default() -> Self {
        Self { max_duration: LONGEST, max_token_lifetime: LONGEST, collect_within: LONGEST, uses: Uses::Window }
    }
}

impl Bounds {
    /// The smaller of each.
    fn smaller(&self, other: &Self) -> Self {
        Self {
            max_duration: self.max_duration.min(other.max_duration),
            max_token_lifetime: self.max_token_lifetime.min(other.max_token_lifetime),
            collect_within: self.collect_within.min(other.collect_within),
            uses: self.uses.fewer(other.uses),
        }
    }
}

impl Uses {
    /// The fewer of both.
    #[must_use]
    pub fn fewer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Window, uses) | (uses, Self::Window) => uses,
            (Self::Times(a), Self::Times(b)) => Self::Times(a.min(b)),
        }
    }
}

/// Requirements on the same approver sets are one, with the larger count and all of their scopes.
fn requirements(asking: &[Asking<'_>]) -> Vec<Requirement> {
    let mut all: Vec<Requirement> = Vec::new();
    for one in asking {
        for wanted in &one.ask.requirements {
            let scope = std::iter::once(one.scope.clone());
            match all.iter_mut().find(|known| known.approvers == wanted.approvers) {
                Some(known) => {
                    known.count = known.count.max(wanted.count);
                    known.scopes = known.scopes.iter().cloned().chain(scope).collect();
                }
                None => all.push(Requirement { scopes: scope.collect::<ScopeSet>(), ..wanted.clone() }),
            }
        }
    }
    all
}

/// Everybody whom any rule wants told, in the way that reaches the most.
fn notify<'a>(asks: impl Iterator<Item = &'a Arc<Ask>> + Clone) -> Notify {
    let by = asks.clone().map(|ask| ask.notify.by).reduce(|a, b| if a == b { a } else { NotifyBy::Both });
    // A rule that names nobody means its own approvers, who must not get lost beside the names of another.
    let named = asks.clone().any(|ask| !ask.notify.to.is_empty());
    let of = |ask: &'a Arc<Ask>| -> Vec<&'a SetName> {
        if ask.notify.to.is_empty() {
            ask.requirements.iter().flat_map(|requirement| &requirement.approvers).collect()
        } else {
            ask.notify.to.iter().collect()
        }
    };
    let to: BTreeSet<&SetName> = if named { asks.flat_map(of).collect() } else { BTreeSet::new() };
    Notify { to: to.into_iter().cloned().collect(), by: by.unwrap_or_default() }
}

fn missing_reason(asked: &TokenRequest, one: &Asking<'_>) -> Option<String> {
    let rule = one.ask.reason.as_ref()?;
    let given = asked.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let good = match (given, &rule.matches) {
        (None, _) => !rule.required,
        (Some(_), None) => true,
        // Without its compiled pattern nothing can be said to match: that refuses.
        (Some(reason), Some(_)) => {
            one.from.and_then(|from| from.reason_pattern.as_ref()).is_some_and(|pattern| pattern.is_match(reason))
        }
    };
    (!good).then(|| rule.says.clone())
}

/// One refusal for all: what each refused scope was told, and which scopes could be asked for on their own.
fn all_refused(refused: &BTreeMap<Scope, Refused>, left: &BTreeMap<Scope, String>) -> Refused {
    let rules: BTreeSet<&String> = refused.values().filter_map(|one| one.rule.as_ref()).collect();
    let rule = if rules.len() == 1 { rules.first().map(|rule| (*rule).clone()) } else { None };
    let told: BTreeSet<&str> = refused.values().map(|one| one.says.as_str()).collect();
    let mut says = if told.len() == 1 {
        told.into_iter().collect::<String>()
    } else {
        refused.iter().map(|(scope, one)| format!("{scope}: {}", one.says)).collect::<Vec<_>>().join(" ")
    };
    if !left.is_empty() {
        let left: ScopeSet = left.keys().cloned().collect();
        says = format!("{says} This server cannot issue a part of what is asked; ask for these alone: {left}");
    }
    if says.is_empty() {
        "Nothing was asked for.".clone_into(&mut says);
    }
    Refused { rule, says }
}
