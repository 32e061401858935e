//! Whom a policy trusts with what: holes through which one person decides alone, or about themselves.

use std::collections::BTreeSet;

use super::super::guard::Known;
use super::super::{Ask, Ceremony, Outcome, Owners, Policy, Resource, Rule, SelfApproval};
use super::{Findings, Weight, about, names};
use crate::domain::ids::SlackUserId;
use crate::domain::scope::Scope;
use crate::domain::token_request::SubjectKind;

impl Policy {
    /// Where a client may ask for itself and nobody owns it, whoever runs it may approve what it asks for.
    pub(super) fn unowned(&self, resource: &Resource, found: &mut Findings) {
        if resource.owners != Owners::default() {
            return;
        }
        let kind = Some(SubjectKind::Client);
        let asking = |scope: &Scope| {
            let deciders = self.deciders(Known { kind, ..Known::scope(scope.as_str()) });
            // Where a rule trusts whoever asks, it says so itself, and that is told of it.
            let asks = |rule: &Rule| match &rule.outcome {
                Outcome::Ask(ask) => ask.self_approval == SelfApproval::Never,
                Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => false,
            };
            deciders.into_iter().find(|(_, rule)| asks(rule))
        };
        if let Some((at, rule)) = resource.scopes.keys().find_map(asking) {
            let says = format!(
                "A client may ask for itself here ({} asks people about it), and `owners` names nobody: whoever runs the client can approve what it asks for, if they are among the approvers. Name them in `owners`, or ask only where `subject.kind == \"user\"`.",
                about(at, rule)
            );
            found.add(Weight::Know, format!("resource `{}`", resource.name), says);
        }
    }

    /// Whether one person may have what they want by their own decision.
    pub(super) fn self_approval(&self, about: &str, ask: &Ask, found: &mut Findings) {
        let how = match ask.self_approval {
            SelfApproval::Never => return,
            SelfApproval::WithReason => "with a reason of their own",
            SelfApproval::Allowed => "like everybody else",
        };
        let alone = match ask.people_needed(self.shared) {
            1 => " One person is enough here: whoever is among the approvers gets it alone.",
            _ => "",
        };
        found.add(Weight::Know, about, format!("self_approval lets whoever asks decide {how}.{alone}"));
    }

    /// With `shared`, somebody who is in several of the sets meets the requirements of all of them.
    pub(super) fn counted_twice(&self, about: &str, ask: &Ask, found: &mut Findings) {
        if !self.shared || ask.requirements.len() < 2 {
            return;
        }
        let sets: Vec<Option<BTreeSet<&SlackUserId>>> =
            ask.requirements.iter().map(|wanted| self.people(&wanted.approvers)).collect();
        let mut pairs = sets.iter().enumerate().flat_map(|(n, one)| sets.iter().skip(n + 1).map(move |two| (one, two)));
        // Who is in a user group is not known here.
        let may_overlap = pairs.any(|pair| match pair {
            (Some(one), Some(two)) => !one.is_disjoint(two),
            (None, _) | (_, None) => true,
        });
        if may_overlap {
            let all: Vec<String> = ask.requirements.iter().map(|wanted| names(&wanted.approvers)).collect();
            let says = format!(
                "`shared = true`: somebody who is in {} counts for each of them, so fewer people may be enough than it seems.",
                all.join(" and in ")
            );
            found.add(Weight::Know, about, says);
        }
    }

    /// What a rule that may decide a critical scope makes of it.
    pub(super) fn critical(&self, scope: &Scope, at: usize, rule: &Rule, found: &mut Findings) {
        let about = about(at, rule);
        let ask = match &rule.outcome {
            Outcome::Deny(_) | Outcome::BreakGlass(_) => return,
            Outcome::Allow(_) => {
                let says =
                    format!("It allows `{scope}`, which is critical and never issued without asking: it is refused.");
                return found.add(Weight::Mend, about, says);
            }
            Outcome::Ask(ask) => ask,
        };
        let people = ask.people_needed(self.shared);
        if people < 2 && ask.ceremony < Ceremony::Match {
            let what = if ask.ceremony == Ceremony::Confirm { "click and a confirmation" } else { "click" };
            let alone = if ask.requirements.len() > 1 { ", who may be in all of its approver sets," } else { "" };
            let says = format!(
                "`{scope}` is critical and needs `match`, two people or `step_up`; this rule asks one person{alone} for a {what}, so it is refused."
            );
            found.add(Weight::Mend, about, says);
        } else if ask.ceremony < Ceremony::StepUp {
            let how = match (people, ask.ceremony) {
                (2.., Ceremony::Match) => format!("{people} people and a typed number"),
                (2.., _) => format!("{people} people"),
                (_, _) => "a typed number".to_owned(),
            };
            let says = format!(
                "`{scope}` is critical, and {how} must do. Whoever takes over a Slack account can click and type in its name: only the ceremony `step_up` survives a stolen Slack account."
            );
            found.add(Weight::Know, about, says);
        }
    }
}
