//! What whoever writes a policy should know about it although it can be used.
//!
//! Only what is certain is said of conditions: where a rule is called unreachable, no request can make it decide.
//! A rule that is not called so may still never match.

use std::collections::BTreeSet;

use super::condition::Condition;
use super::guard::Known;
use super::{Ask, Outcome, Policy, Requirement, Risk, Rule, spelling};
use crate::domain::ids::{SetName, SlackUserId};
use crate::domain::scope::Scope;

mod trust;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The policy does not do what it seems to say.
    Mend,
    /// It does, and there is something to know about it.
    Know,
}

/// Something about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// What it is about: a rule, an approver set, a scope.
    pub about: String,
    /// A sentence or two.
    pub says: String,
}

/// Collects findings about one thing.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, weight: Weight, about: impl Into<String>, says: impl Into<String>) {
        self.0.push(Finding { weight, about: about.into(), says: says.into() });
    }
}

impl Policy {
    /// What is worth telling, what must be mended first.
    pub fn lint(&self) -> Vec<Finding> {
        let mut found = Findings(Vec::new());
        self.unreachable(&mut found);
        for (at, rule) in self.rules.iter().enumerate() {
            self.about_rule(at, rule, &mut found);
        }
        self.about_scopes(&mut found);
        self.about_sets(&mut found);
        found.0.sort_by_key(|finding| (finding.weight, place(&finding.about)));
        found.0
    }

    fn unreachable(&self, found: &mut Findings) {
        for (at, rule) in self.rules.iter().enumerate() {
            let guard = rule.when.guard();
            let scopes = guard.scopes();
            let is_scope = |text: &&&str| Scope::try_from((**text).to_owned()).is_ok();
            if let Some(odd) = scopes.iter().flatten().find(|text| !is_scope(text)) {
                let says = format!("`{odd}` is not one scope (RFC 6749 section 3.3), so no request can ask for it.");
                found.add(Weight::Mend, about(at, rule), says);
                continue;
            }
            if guard.is_surely_false(Known::NOTHING) || scopes.is_some_and(|some| some.is_empty()) {
                found.add(Weight::Mend, about(at, rule), "It is unreachable: its condition can never be true.");
                continue;
            }
            let before = self.rules.iter().take(at).enumerate();
            if let Some((first, earlier)) = before.clone().find(|(_, earlier)| covers(earlier, rule)) {
                let says = format!(
                    "It is unreachable: whenever its condition is true, that of rule {} `{}` is true as well, and comes first.",
                    first + 1,
                    earlier.name
                );
                found.add(Weight::Mend, about(at, rule), says);
            } else if self.all_taken(at, rule) {
                let says = "It is unreachable: earlier rules decide each of the scopes that it names.";
                found.add(Weight::Mend, about(at, rule), says);
            }
        }
    }

    /// Whether for each scope that a rule can match, an earlier rule is true whatever else the request says.
    fn all_taken(&self, at: usize, rule: &Rule) -> bool {
        let taken = |scope: &str| {
            self.rules.iter().take(at).any(|earlier| earlier.when.guard().truth(Known::scope(scope)) == Some(true))
        };
        rule.when.guard().scopes().is_some_and(|scopes| scopes.into_iter().all(taken))
    }

    fn about_rule(&self, at: usize, rule: &Rule, found: &mut Findings) {
        let about = about(at, rule);
        if rule.when.names().contains("reason") {
            let says = "Its condition reads `reason`, which is what the client claims: whoever asks can choose whether \
                        this rule applies. What else would decide should be no less strict.";
            found.add(Weight::Know, &about, says);
        }
        let Outcome::Ask(ask) = &rule.outcome else { return };
        self.quorum(&about, ask, found);
        self.told(&about, ask, found);
        self.self_approval(&about, ask, found);
        self.counted_twice(&about, ask, found);
        if ask.bounds.max_token_lifetime > ask.bounds.max_duration {
            let says = "max_token_lifetime is longer than max_duration; a token never outlives its grant.";
            found.add(Weight::Know, &about, says);
        }
    }

    /// Who is told without being able to decide.
    fn told(&self, about: &str, ask: &Ask, found: &mut Findings) {
        let deciding: BTreeSet<&SetName> = ask.requirements.iter().flat_map(|wanted| &wanted.approvers).collect();
        let only_told = |to: &[SetName]| -> BTreeSet<SetName> {
            to.iter().filter(|set| !deciding.contains(set)).cloned().collect()
        };
        let escalated: BTreeSet<SetName> = ask.reminders.iter().flat_map(|reminder| only_told(&reminder.to)).collect();
        for (sets, why) in [(escalated, "escalate"), (only_told(&ask.notify.to), "notify")] {
            if !sets.is_empty() {
                let sets: Vec<SetName> = sets.into_iter().collect();
                let says = format!("{why} tells {}, who may not decide: being told permits nothing.", names(&sets));
                found.add(Weight::Know, about, says);
            }
        }
    }

    /// Whether enough people exist. What user groups hold only Slack knows, so sets with groups are left out.
    fn quorum(&self, about: &str, ask: &Ask, found: &mut Findings) {
        let closed: Vec<(&Requirement, BTreeSet<&SlackUserId>)> =
            ask.requirements.iter().filter_map(|wanted| Some((wanted, self.people(&wanted.approvers)?))).collect();
        // Every choice of requirements must have as many people as it asks for (Hall's theorem, with counts).
        let choices = 1usize << closed.len().min(10);
        let of =
            |choice: usize| closed.iter().enumerate().filter(move |(n, _)| choice & (1 << n) != 0).map(|(_, one)| one);
        let needed = |choice: usize| of(choice).map(|(wanted, _)| usize::from(wanted.count.get())).sum::<usize>();
        let there = |choice: usize| of(choice).flat_map(|(_, people)| people).collect::<BTreeSet<_>>().len();
        if self.shared {
            if let Some((wanted, people)) = closed.iter().find(|(w, people)| usize::from(w.count.get()) > people.len())
            {
                found.add(Weight::Mend, about, too_few(usize::from(wanted.count.get()), people.len()));
            }
        } else if let Some(choice) = (1..choices).find(|choice| needed(*choice) > there(*choice)) {
            found.add(Weight::Mend, about, too_few(needed(choice), there(choice)));
            return;
        }
        for (wanted, people) in &closed {
            if usize::from(wanted.count.get()) == people.len() {
                let says = format!(
                    "It needs everybody in {}: where one of them asks, or is away, nobody else can decide, because who asks never decides.",
                    names(&wanted.approvers)
                );
                found.add(Weight::Know, about, says);
            }
        }
    }

    /// The people in these sets, where no user group is among them.
    fn people(&self, sets: &[SetName]) -> Option<BTreeSet<&SlackUserId>> {
        let sets: Vec<_> = sets.iter().filter_map(|set| self.approvers.get(set)).collect();
        sets.iter().all(|set| set.groups.is_empty()).then(|| sets.iter().flat_map(|set| &set.users).collect())
    }

    /// The rules that may decide a scope, in order.
    fn deciders(&self, known: Known<'_>) -> Vec<(usize, &Rule)> {
        let mut deciders = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            match rule.when.guard().truth(known) {
                Some(false) => {}
                None => deciders.push((at, rule)),
                Some(true) => {
                    deciders.push((at, rule));
                    break;
                }
            }
        }
        deciders
    }

    fn about_scopes(&self, found: &mut Findings) {
        for resource in &self.resources {
            for (scope, text) in &resource.scopes {
                let deciders = self.deciders(Known::scope(scope.as_str()));
                if deciders.is_empty() {
                    let says = format!("No rule can match it, so it is always refused at {}.", resource.audience);
                    found.add(Weight::Know, format!("scope `{scope}`"), says);
                }
                if text.risk == Some(Risk::Critical) {
                    deciders.into_iter().for_each(|(at, rule)| self.critical(scope, at, rule, found));
                }
            }
            self.unowned(resource, found);
        }
    }

    fn about_sets(&self, found: &mut Findings) {
        let named = |rule: &Rule| -> Vec<SetName> {
            match &rule.outcome {
                Outcome::Ask(ask) => {
                    let deciding = ask.requirements.iter().flat_map(|wanted| &wanted.approvers);
                    let told = ask.reminders.iter().flat_map(|r| &r.to).chain(&ask.notify.to);
                    deciding.chain(told).cloned().collect()
                }
                Outcome::BreakGlass(glass) => glass.tell.iter().chain(&glass.requesters).cloned().collect(),
                Outcome::Allow(_) | Outcome::Deny(_) => Vec::new(),
            }
        };
        let used: BTreeSet<SetName> = self.rules.iter().flat_map(named).collect();
        for (name, set) in &self.approvers {
            if set.users.is_empty() && set.groups.is_empty() {
                found.add(Weight::Mend, format!("approver set `{name}`"), "Nobody is in it.");
            }
            if !used.contains(name) {
                found.add(Weight::Know, format!("approver set `{name}`"), "No rule asks or tells it.");
            }
        }
    }
}

fn about(at: usize, rule: &Rule) -> String {
    format!("rule {} `{}`", at + 1, rule.name)
}

/// What is about rules comes in their order, and then the rest.
fn place(about: &str) -> usize {
    let number = about.strip_prefix("rule ").and_then(|rest| rest.split(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

fn names(sets: &[SetName]) -> String {
    sets.iter().map(|set| set.as_str()).collect::<Vec<_>>().join(" or ")
}

fn too_few(needed: usize, there: usize) -> String {
    format!("It can never be approved: it needs {needed} different people, and its approver sets have {there}.")
}

/// Whether the earlier rule is true whenever the later one is: each part of its condition follows from a part of
/// the other.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let (mine, theirs) = (parts(earlier), parts(later));
    !mine.is_empty()
        && mine.iter().all(|mine| {
            mine.guard().truth(Known::NOTHING) == Some(true)
                || theirs.iter().any(|one| one.says_the_same(mine) || one.guard().implies(mine.guard()))
        })
}

/// The parts of a condition that all must be true. A part that is not readable alone is none, and then the whole
/// condition stands for itself.
fn parts(rule: &Rule) -> Vec<Condition> {
    let parts = spelling::conjuncts(rule.when.source()).into_iter().map(Condition::part).collect::<Result<Vec<_>, _>>();
    parts.or_else(|_| Condition::part(rule.when.source()).map(|whole| vec![whole])).unwrap_or_default()
}
