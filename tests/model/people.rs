//! Whether enough people agreed: found out by trying every way to seat them.

use super::world::{Sets, person};

/// Somebody who agreed, being in these approver sets then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    pub who: usize,
    pub sets: Sets,
}

/// Whether these people meet all of the needs, each of which is approver sets and how many people of them. One person
/// counts for one need only, unless votes are shared; two accounts of one person are one person.
pub fn enough(needs: &[(Sets, u8)], voices: &[Voice], shared: bool) -> bool {
    let mut people: Vec<Voice> = Vec::new();
    for voice in voices {
        if !people.iter().any(|other| person(other.who) == person(voice.who)) {
            people.push(*voice);
        }
    }
    if shared {
        let agree = |sets: Sets| people.iter().filter(|voice| voice.sets & sets != 0).count();
        return needs.iter().all(|(sets, count)| agree(*sets) >= usize::from(*count));
    }
    let missing: Vec<(Sets, u8)> = needs.to_vec();
    can_be_seated(&missing, &people)
}

fn can_be_seated(missing: &[(Sets, u8)], people: &[Voice]) -> bool {
    if missing.iter().all(|(_, count)| *count == 0) {
        return true;
    }
    let Some((first, rest)) = people.split_first() else { return false };
    // The first of them is needed nowhere, or for one of the needs: try all.
    can_be_seated(missing, rest)
        || (0..missing.len()).any(|n| {
            let (sets, count) = missing[n];
            let mut fewer = missing.to_vec();
            fewer[n].1 = count.saturating_sub(1);
            count > 0 && first.sets & sets != 0 && can_be_seated(&fewer, rest)
        })
}
