//! How fast Slack may be told things: about one message a second and channel with short bursts, and a budget per
//! workspace for edits. What Slack itself asks to wait for is kept here too, by what it asked it for.
//!
//! All of it is forgotten at a restart: the worst that follows is that Slack asks to wait once more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::domain::Timestamp;
use crate::store::Class;

/// One message a second and channel, and one edit a second and workspace.
const EVERY: TimeDelta = TimeDelta::seconds(1);
/// Edits may come in larger bursts: Slack counts them by the minute.
const EDITS_PER_POST: i32 = 10;
/// The place of what is counted per workspace.
const WORKSPACE: &str = "";

/// The budgets of one workspace.
pub(super) struct Pace {
    burst: i32,
    all: Mutex<Budgets>,
}

#[derive(Default)]
struct Budgets {
    /// When the last message that was taken would have gone out at an even pace, by place.
    taken: HashMap<String, Timestamp>,
    /// Until when a class waits at a place, because Slack said so or did not answer.
    waits: HashMap<(String, Class), Timestamp>,
}

impl Pace {
    /// So many messages may go to one channel at once.
    pub fn new(burst: u32) -> Self {
        Self { burst: i32::try_from(burst).unwrap_or(i32::MAX / EDITS_PER_POST).max(1), all: Mutex::default() }
    }

    /// Takes one from the budget of a place.
    ///
    /// # Errors
    /// When the next may be taken.
    pub fn take(&self, place: &str, class: Class, now: Timestamp) -> Result<(), Timestamp> {
        let (place, burst) = match class {
            Class::Post | Class::Note | Class::Direct => (place, self.burst),
            Class::Edit => (WORKSPACE, self.burst.saturating_mul(EDITS_PER_POST)),
        };
        let mut all = self.lock();
        if let Some(until) = all.waits.get(&(place.to_owned(), class)).copied().filter(|until| *until > now) {
            return Err(until);
        }
        let taken = all.taken.get(place).copied().filter(|at| *at > now).unwrap_or(now);
        let opens = taken - EVERY * (burst - 1);
        if opens > now {
            return Err(opens);
        }
        all.taken.retain(|_, at| *at > now);
        all.taken.insert(place.to_owned(), taken + EVERY);
        Ok(())
    }

    /// Nothing of this class goes to this place until then; edits wait in all of the workspace.
    pub fn wait(&self, place: &str, class: Class, until: Timestamp, now: Timestamp) {
        let place = if class == Class::Edit { WORKSPACE } else { place };
        let mut all = self.lock();
        all.waits.retain(|_, until| *until > now);
        all.waits.insert((place.to_owned(), class), until);
    }

    /// What need not be looked for now, as `lane/class`.
    pub fn closed(&self, now: Timestamp) -> Vec<String> {
        let all = self.lock();
        let waiting = all.waits.iter().filter(|(_, until)| **until > now);
        let waiting = waiting.map(|((place, class), _)| format!("{place}/{}", class.as_str()));
        let spent = all.taken.iter().filter(|(_, taken)| **taken - EVERY * (self.burst - 1) > now);
        let spent = spent.filter(|(place, _)| !place.is_empty());
        waiting.chain(spent.flat_map(|(place, _)| [format!("{place}/post"), format!("{place}/note")])).collect()
    }

    /// When the first of what is closed opens.
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.lock();
        let spent = all.taken.values().map(|taken| *taken - EVERY * (self.burst - 1));
        all.waits.values().copied().chain(spent).filter(|at| *at > now).min()
    }

    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(millis: i64) -> Timestamp {
        DateTime::from_timestamp_millis(1_795_460_000_000 + millis).unwrap()
    }

    #[test]
    fn a_channel_takes_a_burst_and_then_one_a_second() {
        let pace = Pace::new(3);
        for _ in 0..3 {
            assert_eq!(pace.take("C1", Class::Post, at(0)), Ok(()));
        }
        assert_eq!(pace.take("C1", Class::Note, at(0)), Err(at(1_000)), "notes are messages of the same channel");
        assert_eq!(pace.closed(at(0)).len(), 2);
        assert_eq!(pace.opens_at(at(0)), Some(at(1_000)));
        assert_eq!(pace.take("C2", Class::Post, at(0)), Ok(()), "another channel has a budget of its own");
        assert_eq!(pace.take("C1", Class::Edit, at(0)), Ok(()), "and so have edits");
        // Whoever is late by a little loses nothing.
        assert_eq!(pace.take("C1", Class::Post, at(1_300)), Ok(()));
        assert_eq!(pace.take("C1", Class::Post, at(1_999)), Err(at(2_000)));
        assert_eq!(pace.take("C1", Class::Post, at(2_000)), Ok(()));
        assert!(pace.closed(at(10_000)).is_empty());
    }

    #[test]
    fn what_slack_asks_to_wait_for_waits_and_nothing_else() {
        let pace = Pace::new(5);
        pace.wait("C1", Class::Post, at(40_000), at(0));
        assert_eq!(pace.take("C1", Class::Post, at(39_999)), Err(at(40_000)));
        assert_eq!(pace.closed(at(0)), ["C1/post"]);
        assert_eq!(pace.take("C1", Class::Note, at(0)), Ok(()));
        assert_eq!(pace.take("C1", Class::Post, at(40_000)), Ok(()));
        pace.wait("C1", Class::Edit, at(70_000), at(50_000));
        assert_eq!(pace.take("C2", Class::Edit, at(60_000)), Err(at(70_000)), "edits wait in all of the workspace");
    }
}
