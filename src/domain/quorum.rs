//! Which requirements the approvals meet: a maximum matching, so that the order of votes never matters.

use super::identity::Principal;
use super::policy::Requirement;

/// One approval: who, and the requirements (by index) that this person may count for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval<'a> {
    /// The person.
    pub who: &'a Principal,
    /// Indexes into the requirements.
    pub counts_for: &'a [usize],
}

/// How many distinct people count for each requirement, under an assignment that meets as much as possible.
///
/// Unless `shared`, a person counts once. A person who appears twice is one person.
pub fn counted(requirements: &[Requirement], approvals: &[Approval<'_>], shared: bool) -> Vec<u8> {
    let seats = seated(requirements, approvals, shared);
    seats.iter().map(|people| u8::try_from(people.len()).unwrap_or(u8::MAX)).collect()
}

/// Who counts for each requirement under that assignment: indexes into the approvals, in order.
pub fn seated(requirements: &[Requirement], approvals: &[Approval<'_>], shared: bool) -> Vec<Vec<usize>> {
    let mut people: Vec<(usize, &Approval<'_>)> = Vec::new();
    for (n, approval) in approvals.iter().enumerate() {
        if !people.iter().any(|(_, other)| other.who == approval.who) {
            people.push((n, approval));
        }
    }
    if shared {
        let of = |n: usize| people.iter().filter(|(_, a)| a.counts_for.contains(&n)).map(|(at, _)| *at).collect();
        return (0..requirements.len()).map(of).collect();
    }
    // Every requirement offers `count` seats; Kuhn's augmenting paths fill as many as can be filled.
    let seats: Vec<usize> =
        requirements.iter().enumerate().flat_map(|(n, r)| std::iter::repeat_n(n, usize::from(r.count.get()))).collect();
    let mut taken: Vec<Option<usize>> = vec![None; seats.len()];
    let approving: Vec<&Approval<'_>> = people.iter().map(|(_, approval)| *approval).collect();
    for person in 0..people.len() {
        seat(person, &approving, &seats, &mut taken, &mut vec![false; seats.len()]);
    }
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); requirements.len()];
    for (requirement, holder) in seats.iter().zip(&taken) {
        if let Some(person) = holder
            && let (Some((at, _)), Some(seated)) = (people.get(*person), all.get_mut(*requirement))
        {
            seated.push(*at);
        }
    }
    all.iter_mut().for_each(|people| people.sort_unstable());
    all
}

fn seat(
    person: usize,
    people: &[&Approval<'_>],
    seats: &[usize],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (at, requirement) in seats.iter().enumerate() {
        if tried[at] || !people[person].counts_for.contains(requirement) {
            continue;
        }
        tried[at] = true;
        let free = match taken[at] {
            None => true,
            Some(other) => seat(other, people, seats, taken, tried),
        };
        if free {
            taken[at] = Some(person);
            return true;
        }
    }
    false
}

/// Whether every requirement has its people.
pub fn met(requirements: &[Requirement], counts: &[u8]) -> bool {
    !requirements.is_empty() && requirements.iter().zip(counts).all(|(r, count)| *count >= r.count.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::ScopeSet;
    use std::num::NonZeroU8;

    fn requirement(count: u8) -> Requirement {
        Requirement { approvers: vec![], count: NonZeroU8::new(count).unwrap(), scopes: ScopeSet::default() }
    }

    fn check(counts: &[u8], votes: &[(&str, &[usize])], shared: bool, expected: &[u8]) {
        let requirements: Vec<_> = counts.iter().map(|n| requirement(*n)).collect();
        let people: Vec<Principal> = votes.iter().map(|(who, _)| Principal::new(who)).collect();
        let mut approvals: Vec<_> =
            people.iter().zip(votes).map(|(who, (_, n))| Approval { who, counts_for: n }).collect();
        for _ in 0..approvals.len().max(1) {
            assert_eq!(counted(&requirements, &approvals, shared), expected, "{votes:?}");
            if !approvals.is_empty() {
                approvals.rotate_left(1);
            }
        }
    }

    #[test]
    fn somebody_in_both_sets_is_given_to_the_requirement_that_nobody_else_can_meet() {
        check(&[1, 1], &[("carol", &[0, 1]), ("bob", &[0])], false, &[1, 1]);
    }

    #[test]
    fn one_person_counts_once_unless_the_policy_shares_votes() {
        check(&[1, 1], &[("carol", &[0, 1])], true, &[1, 1]);
        let requirements = [requirement(1), requirement(1)];
        let carol = Principal::new("carol");
        let counts = counted(&requirements, &[Approval { who: &carol, counts_for: &[0, 1] }], false);
        assert_eq!(counts.iter().sum::<u8>(), 1);
        assert!(!met(&requirements, &counts));
    }

    #[test]
    fn two_clicks_of_one_person_are_one_vote() {
        check(&[2], &[("bob", &[0]), ("BOB ", &[0])], false, &[1]);
    }

    #[test]
    fn no_requirement_at_all_is_never_met() {
        assert!(!met(&[], &[]));
    }
}
