//! Who is whom, and how many distinct people are enough: by brute force.

use std::collections::BTreeSet;

use super::model::identities;
use super::world::CAST;

/// An approval: a member of the cast, and the mask of approver sets it was in at the click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    pub who: usize,
    pub sets: u8,
}

/// Whether any identity of an account is among the parties.
pub fn is_party(who: usize, parties: &BTreeSet<String>) -> bool {
    identities(who).iter().any(|identity| parties.contains(*identity))
        || parties.contains(&CAST[who].slack.to_lowercase())
}

/// Whether two accounts are, or might be, one person.
pub fn may_be_the_same(a: usize, b: usize) -> bool {
    let is = |one: usize, other: usize| identities(one).contains(&CAST[other].principal);
    is(a, b) || is(b, a)
}

/// Whether these approvals fill every seat of every requirement with distinct people (or, shared, whether each
/// requirement has its people): every way to seat them is tried, as sets of people who already sit.
pub fn enough(requirements: &[(u8, u8)], approvals: &[Approval], shared: bool) -> bool {
    let seats: usize = requirements.iter().map(|(_, count)| usize::from(*count)).sum();
    !requirements.is_empty()
        && most_seated(requirements, approvals, shared).iter().map(|n| usize::from(*n)).sum::<usize>() == seats
}

/// How many seats of each requirement can be filled when as many as possible are filled (one such way); no
/// requirement counts more people than it wants.
pub fn most_seated(requirements: &[(u8, u8)], approvals: &[Approval], shared: bool) -> Vec<u8> {
    let mut people: Vec<Approval> = Vec::new();
    for approval in approvals {
        if !people.iter().any(|other| CAST[other.who].principal == CAST[approval.who].principal) {
            people.push(*approval);
        }
    }
    if shared {
        let having = |sets: u8| people.iter().filter(|one| one.sets & sets != 0).count();
        return requirements.iter().map(|(sets, count)| (*count).min(u8::try_from(having(*sets)).unwrap())).collect();
    }
    let mut ways: BTreeSet<(u32, Vec<u8>)> = BTreeSet::from([(0, vec![0; requirements.len()])]);
    for (n, (sets, count)) in requirements.iter().enumerate() {
        for _ in 0..*count {
            let mut more = ways.clone();
            for (seated, counts) in &ways {
                let can = |one: &&(usize, &Approval)| seated & (1 << one.0) == 0 && one.1.sets & sets != 0;
                for (person, _) in people.iter().enumerate().collect::<Vec<_>>().iter().filter(can) {
                    let mut counts = counts.clone();
                    counts[n] += 1;
                    more.insert((seated | 1 << person, counts));
                }
            }
            ways = more;
        }
    }
    let total = |counts: &Vec<u8>| counts.iter().map(|n| u32::from(*n)).sum::<u32>();
    ways.into_iter().map(|(_, counts)| counts).max_by_key(total).unwrap_or_default()
}

/// Whether giving each approval, in order, the first free seat would have been enough.
pub fn greedy_is_enough(requirements: &[(u8, u8)], approvals: &[Approval]) -> bool {
    let mut free: Vec<u8> = requirements.iter().map(|(_, count)| *count).collect();
    for approval in approvals {
        let seat = requirements.iter().zip(&mut free).find(|((sets, _), free)| sets & approval.sets != 0 && **free > 0);
        if let Some((_, free)) = seat {
            *free -= 1;
        }
    }
    free.iter().all(|free| *free == 0)
}
