//! How verdicts are said to people.

use std::time::Duration;

use crate::domain::ids::SetName;
use crate::domain::policy::{
    Ask, Bounds, Ceremony, LONGEST, NotifyBy, OnDeactivation, Outcome, Requirement, SelfApproval, Uses,
};
use crate::domain::scope::Scope;

/// So many of something.
pub(super) fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

/// A condition on one line.
pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A time, as policies write it.
pub(super) fn time(seconds: u64) -> String {
    match (seconds % 3_600, seconds / 3_600) {
        (0, hours @ 24..=96) => format!("{hours}h"),
        (_, _) => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}

/// A scope, or words for none.
pub(super) fn scope(scope: &Scope) -> String {
    if *scope == Scope::unnamed() { "no scope".to_owned() } else { scope.to_string() }
}

/// What a rule decides, to be read after "it".
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(bounds) => format!("allows it without asking, {}", lasts(bounds)),
        Outcome::Deny(says) => format!("refuses it, saying: {says}"),
        Outcome::Ask(ask) => format!("asks {}, {}", people(&ask.requirements), lasts(&ask.bounds)),
        Outcome::BreakGlass(glass) => format!(
            "lets people of {} break the glass, {}; {} hear of it at once and must review it within {}",
            sets(&glass.requesters),
            lasts(&glass.bounds),
            all(&glass.tell),
            time(glass.review_within)
        ),
    }
}

/// Each of these sets.
pub(super) fn all(names: &[SetName]) -> String {
    names.iter().map(|set| set.as_str()).collect::<Vec<_>>().join(" and ")
}

/// Any of these sets.
pub(super) fn sets(names: &[SetName]) -> String {
    names.iter().map(|set| set.as_str()).collect::<Vec<_>>().join(" or ")
}

/// Who must agree.
pub(super) fn people(requirements: &[Requirement]) -> String {
    let all: Vec<String> = requirements.iter().map(requirement).collect();
    all.join(", and ")
}

/// How many of whom.
pub(super) fn requirement(wanted: &Requirement) -> String {
    let sets: Vec<&str> = wanted.approvers.iter().map(|set| set.as_str()).collect();
    let noun = if wanted.count.get() == 1 { "person" } else { "people" };
    format!("{} {noun} of {}", wanted.count, sets.join(" or "))
}

/// How long access may last.
pub(super) fn lasts(bounds: &Bounds) -> String {
    format!("for up to {}, each token up to {}", time(bounds.max_duration), time(bounds.max_token_lifetime))
}

/// How often access may be used.
pub(super) fn uses(uses: Uses) -> String {
    match uses {
        Uses::Window => "as often as wanted".to_owned(),
        Uses::Times(1) => "for one token".to_owned(),
        Uses::Times(n) => format!("for {n} tokens"),
    }
}

/// What an approver does.
pub(super) fn ceremony(ceremony: Ceremony) -> &'static str {
    match ceremony {
        Ceremony::Click => "by one click",
        Ceremony::Confirm => "by a click and a dialog that repeats scope and time",
        Ceremony::Match => "by typing the number that the client shows",
        Ceremony::StepUp => "by authenticating anew",
    }
}

/// The word for a ceremony in a policy.
pub(super) fn ceremony_word(ceremony: Ceremony) -> &'static str {
    match ceremony {
        Ceremony::Click => "click",
        Ceremony::Confirm => "confirm",
        Ceremony::Match => "match",
        Ceremony::StepUp => "step_up",
    }
}

/// When an approval is void, where it can be.
pub(super) fn collected(bounds: &Bounds) -> String {
    if bounds.collect_within == LONGEST {
        String::new()
    } else {
        format!(", collected within {}", time(bounds.collect_within))
    }
}

/// What a rule says beyond the usual.
fn more_lines(ask: &Ask) -> Vec<String> {
    let mut lines = Vec::new();
    match ask.self_approval {
        SelfApproval::Never => {}
        SelfApproval::WithReason => lines.push("whoever asks may decide too, with a reason of their own".to_owned()),
        SelfApproval::Allowed => lines.push("whoever asks may decide too".to_owned()),
    }
    for reminder in &ask.reminders {
        let whom: Vec<&str> = reminder.to.iter().map(|set| set.as_str()).collect();
        let whom = if whom.is_empty() {
            "those who were asked are reminded".to_owned()
        } else {
            format!("{} is told", whom.join(", "))
        };
        lines.push(format!("undecided after {}, {whom}", time(reminder.after)));
    }
    let told: Vec<&str> = ask.notify.to.iter().map(|set| set.as_str()).collect();
    let told = if told.is_empty() { "they".to_owned() } else { told.join(", ") };
    match ask.notify.by {
        NotifyBy::Channel if ask.notify.to.is_empty() => {}
        NotifyBy::Channel => lines.push(format!("the card mentions {told}")),
        NotifyBy::Direct => lines.push(format!("{told} get the card as a direct message")),
        NotifyBy::Both => lines.push(format!("{told} get the card as a direct message and in the channel")),
    }
    match ask.on_deactivation {
        OnDeactivation::Keep => {}
        OnDeactivation::Revoke => {
            lines.push("its grant is revoked when an account behind it is deactivated".to_owned())
        }
    }
    if ask.on_behalf {
        lines.push("/access may ask for somebody else".to_owned());
    }
    lines
}

/// A rule that asks, in lines.
pub(super) fn ask_lines(ask: &Ask) -> Vec<String> {
    let mut lines = vec![format!("asks {}", people(&ask.requirements))];
    lines.push(format!("decided within {} {}", time(ask.decide_within), ceremony(ask.ceremony)));
    lines.push(format!("access {}, {}{}", lasts(&ask.bounds), uses(ask.bounds.uses), collected(&ask.bounds)));
    if let Some(reason) = &ask.reason {
        let pattern =
            reason.matches.as_ref().map(|pattern| format!(" in which {pattern} is found")).unwrap_or_default();
        let (needed, else_) =
            if reason.required { ("must be given", "without it") } else { ("may be given", "with another one") };
        lines.push(format!("a reason{pattern} {needed}; {else_} nobody is asked, and the answer is: {}", reason.says));
    }
    lines.extend(more_lines(ask));
    if let Some(channel) = &ask.channel {
        lines.push(format!("its card goes to {channel}"));
    }
    lines
}
