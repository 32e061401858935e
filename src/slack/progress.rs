//! How far people are with a request: who has approved, who is looking at it, and what is still needed.

use super::text::{code, counted, date, mention};
use crate::domain::access_request::{AccessRequest, Vote, WRONG_NUMBERS_MAX};
use crate::domain::policy::Requirement;

/// How many people are named before "and N more".
const PEOPLE_MAX: usize = 12;

/// Who is looking at it, to whom it was handed over, and what went wrong on the way.
pub(super) fn at_hand(request: &AccessRequest) -> Option<String> {
    let deciding = &request.deciding;
    let mut said = Vec::new();
    if let Some(claim) = &deciding.claimed {
        said.push(format!("{} is looking at it ({})", mention(&claim.by), date(claim.at)));
    }
    if let Some(last) = deciding.handed_over.last() {
        said.push(format!("{} asked {} to decide", mention(&last.by), mention(&last.to)));
    }
    if !deciding.wrong_numbers.is_empty() {
        let most = WRONG_NUMBERS_MAX;
        said.push(format!(
            "{} typed, the third of {most} denies",
            counted(deciding.wrong_numbers.len(), "wrong number")
        ));
    }
    (!said.is_empty()).then(|| said.join(" · "))
}

/// Who has approved, and from whom it still waits where several must agree.
pub(super) fn voted(request: &AccessRequest) -> Option<String> {
    let person = |vote: &Vote| format!("{} ({})", mention(&vote.voter.slack), date(vote.at));
    let requirements = &request.question.requirements;
    if requirements.len() > 1 {
        let of = |(requirement, votes): (&Requirement, Vec<&Vote>)| {
            let sets: Vec<String> = requirement.approvers.iter().take(2).map(|set| code(set.as_str())).collect();
            let people: Vec<String> = votes.iter().take(PEOPLE_MAX).map(|vote| person(vote)).collect();
            let need = usize::from(requirement.count.get()).saturating_sub(votes.len());
            let still = match (people.is_empty(), need) {
                (_, 0) => String::new(),
                (true, need) => format!("still needs {need}"),
                (false, need) => format!(", still needs {need}"),
            };
            format!("• {}: {}{still}", sets.join(" or "), people.join(", "))
        };
        let lines: Vec<String> = requirements.iter().zip(request.counted_people()).take(6).map(of).collect();
        return Some(format!("*Who has approved*\n{}", lines.join("\n")));
    }
    let people: Vec<String> = request.counting().take(PEOPLE_MAX).map(person).collect();
    let more = request.counting().count() - people.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!people.is_empty()).then(|| format!("*Approved so far by* {}{more}", people.join(", ")))
}

/// `1 of 2 approvals`, and from whom where there are several requirements.
pub(super) fn quorum(request: &AccessRequest) -> String {
    let counts = request.counted();
    let requirements = &request.question.requirements;
    let have: usize = counts.iter().map(|count| usize::from(*count)).sum();
    let need: usize = requirements.iter().map(|requirement| usize::from(requirement.count.get())).sum();
    let total = format!("{have} of {}", counted(need, "approval"));
    if requirements.len() < 2 {
        return total;
    }
    let each: Vec<String> = requirements
        .iter()
        .zip(&counts)
        .take(6)
        .map(|(requirement, count)| {
            let sets: Vec<String> = requirement.approvers.iter().take(2).map(|set| code(set.as_str())).collect();
            format!("{} of {} from {}", count, requirement.count, sets.join(" or "))
        })
        .collect();
    format!("{total} ({})", each.join("; "))
}
