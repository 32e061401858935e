//! What a policy says of a call, from the plain data of the policy.

use super::plans::{Ask, Bounds, FOREVER, Plan, Rule};
use super::world::{REASONS, SCOPES, Scopes, Sets, Wish};

/// What people are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The scopes that had to be asked about.
    pub about: Scopes,
    /// Approver sets, how many people of them, and the scopes for which.
    pub needs: Vec<(Sets, u8, Scopes)>,
    pub shared: bool,
    pub decide: u64,
    pub confirm: bool,
    pub own: bool,
    /// Whether a ticket is missing.
    pub ticket_missing: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Refused,
    Passes,
    Allowed,
    Asked(Question),
    /// Who may break the glass: somebody who is in one of each of these.
    Glass(Vec<Sets>),
}

/// The verdict with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub verdict: Verdict,
    /// What is left of what was asked.
    pub scopes: Scopes,
    pub bounds: Bounds,
    /// What a rule allows beside what people are asked about, with its own bounds.
    pub allowed: Option<(Scopes, Bounds)>,
}

fn smaller(one: Bounds, other: Bounds) -> Bounds {
    let uses = one.uses.into_iter().chain(other.uses).min();
    let (lasts, token) = (one.lasts.min(other.lasts), one.token.min(other.token));
    Bounds { lasts, token, collect: one.collect.min(other.collect), uses }
}

const UNBOUNDED: Bounds = Bounds { lasts: FOREVER, token: FOREVER, collect: FOREVER, uses: None };

/// Judges every scope on its own, and adds up. `narrow` says that refused scopes may drop out; where they may not, one
/// refused scope refuses all.
pub fn judge(plan: &Plan, wish: &Wish, narrow: bool) -> Ruling {
    let mut ruling = Ruling { verdict: Verdict::Refused, scopes: 0, bounds: UNBOUNDED, allowed: None };
    let mut asks: Vec<(Scopes, &Ask)> = Vec::new();
    let mut glasses: Vec<(Scopes, Sets)> = Vec::new();
    let (mut allowed, mut allowed_bounds, mut dropped) = (0, UNBOUNDED, 0);
    for bit in (0..SCOPES.len()).filter(|bit| wish.scopes & (1 << bit) != 0) {
        let scope = 1 << bit;
        let bounds = match plan.rule(bit) {
            Rule::None | Rule::Deny => {
                dropped |= scope;
                continue;
            }
            Rule::Observe => UNBOUNDED,
            Rule::Allow(bounds) => {
                allowed |= scope;
                allowed_bounds = smaller(allowed_bounds, *bounds);
                *bounds
            }
            Rule::Ask(ask) => {
                asks.push((scope, ask));
                ask.bounds
            }
            Rule::Glass(who, bounds) => {
                glasses.push((scope, *who));
                *bounds
            }
        };
        ruling.scopes |= scope;
        ruling.bounds = smaller(ruling.bounds, bounds);
    }
    if !asks.is_empty() {
        // What is there for emergencies must be asked for alone.
        for (scope, _) in std::mem::take(&mut glasses) {
            ruling.scopes &= !scope;
            dropped |= scope;
        }
    }
    if ruling.scopes == 0 || (dropped != 0 && !narrow) {
        return ruling;
    }
    ruling.allowed = (plan.partial && allowed != 0 && !asks.is_empty()).then_some((allowed, allowed_bounds));
    ruling.verdict = match (asks.is_empty(), glasses.is_empty(), allowed == 0) {
        (false, _, _) => Verdict::Asked(question(plan, wish, &asks)),
        (true, false, _) => Verdict::Glass(glasses.into_iter().map(|(_, who)| who).collect()),
        (true, true, false) => Verdict::Allowed,
        (true, true, true) => Verdict::Passes,
    };
    ruling
}

fn question(plan: &Plan, wish: &Wish, asks: &[(Scopes, &Ask)]) -> Question {
    let mut needs: Vec<(Sets, u8, Scopes)> = Vec::new();
    for (scope, ask) in asks {
        for (sets, count) in &ask.needs {
            // The same people for two scopes: the larger number of them, for both.
            match needs.iter_mut().find(|(known, _, _)| known == sets) {
                Some(known) => (known.1, known.2) = (known.1.max(*count), known.2 | scope),
                None => needs.push((*sets, *count, *scope)),
            }
        }
    }
    let is_ticket = REASONS[wish.reason].is_some_and(|reason| reason.starts_with("PAY-"));
    Question {
        about: asks.iter().fold(0, |all, (scope, _)| all | scope),
        needs,
        shared: plan.shared,
        decide: asks.iter().map(|(_, ask)| ask.decide).min().unwrap_or(0),
        confirm: asks.iter().any(|(_, ask)| ask.confirm),
        own: asks.iter().all(|(_, ask)| ask.own),
        ticket_missing: asks.iter().any(|(_, ask)| ask.ticket) && !is_ticket,
    }
}

impl Question {
    /// What is left to be agreed on, once some scopes were taken out: needs that are there for those alone fall away.
    pub fn left(&self, removed: Scopes) -> Vec<(Sets, u8)> {
        let stays = |of: Scopes| removed == 0 || of & !removed != 0;
        self.needs.iter().filter(|(_, _, of)| stays(*of)).map(|(sets, count, _)| (*sets, *count)).collect()
    }
}
