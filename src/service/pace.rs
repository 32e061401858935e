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
/// What goes out late by this much does not delay what follows it, so that many small delays do not add up.
const LATE: TimeDelta = TimeDelta::milliseconds(300);
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

    /// Takes one from the budget of a place. To be called at the moment of sending.
    ///
    /// # Errors
    /// When the next may be taken.
    pub fn take(&self, place: &str, class: Class, now: Timestamp) -> Result<(), Timestamp> {
        let mut all = self.lock();
        let (place, taken) = self.look(&all, place, class, now)?;
        all.taken.retain(|_, at| *at > now - LATE);
        all.taken.insert(place.to_owned(), taken + EVERY);
        Ok(())
    }

    /// Whether one could be taken from the budget of a place.
    ///
    /// # Errors
    /// When the next may be taken.
    pub fn is_open(&self, place: &str, class: Class, now: Timestamp) -> Result<(), Timestamp> {
        self.look(&self.lock(), place, class, now).map(|_| ())
    }

    /// Whose budget it is, and when the last one that was taken would have gone out at an even pace.
    fn look<'a>(
        &self,
        all: &Budgets,
        place: &'a str,
        class: Class,
        now: Timestamp,
    ) -> Result<(&'a str, Timestamp), Timestamp> {
        let (budget, burst) = match class {
            Class::Post | Class::Note | Class::Direct => (place, self.burst),
            Class::Edit => (WORKSPACE, self.edits()),
        };
        if let Some(until) = all.waits.get(&(budget.to_owned(), class)).copied().filter(|until| *until > now) {
            return Err(until);
        }
        let earliest = now - LATE;
        let taken = all.taken.get(budget).copied().filter(|at| *at > earliest).unwrap_or(now);
        let opens = opens(taken, burst);
        if opens > now { Err(opens) } else { Ok((budget, taken)) }
    }

    fn edits(&self) -> i32 {
        self.burst.saturating_mul(EDITS_PER_POST)
    }

    /// Nothing of this class goes to this place until then; edits wait in all of the workspace.
    pub fn wait(&self, place: &str, class: Class, until: Timestamp, now: Timestamp) {
        let place = if class == Class::Edit { WORKSPACE } else { place };
        let mut all = self.lock();
        all.waits.retain(|_, until| *until > now);
        all.waits.insert((place.to_owned(), class), until);
    }

    /// What need not be looked for now, as `lane/class`; where a class waits in all of the workspace, `*/class`.
    pub fn closed(&self, now: Timestamp) -> Vec<String> {
        let all = self.lock();
        let waiting = all.waits.iter().filter(|(_, until)| **until > now);
        let waiting = waiting.map(|((place, class), _)| (place, *class));
        let spent = all.taken.iter().flat_map(|(place, taken)| {
            let (burst, classes): (i32, &[Class]) = if place == WORKSPACE {
                (self.edits(), &[Class::Edit])
            } else {
                (self.burst, &[Class::Post, Class::Note])
            };
            let spent = if opens(*taken, burst) > now { classes } else { &[] };
            spent.iter().map(move |class| (place, *class))
        });
        let name = |place: &str| if place == WORKSPACE { "*".to_owned() } else { place.to_owned() };
        waiting.chain(spent).map(|(place, class)| format!("{}/{}", name(place), class.as_str())).collect()
    }

    /// When the first of what is closed opens.
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.lock();
        let spent = all.taken.iter().map(|(place, taken)| {
            let burst = if place == WORKSPACE { self.edits() } else { self.burst };
            opens(*taken, burst)
        });
        all.waits.values().copied().chain(spent).filter(|at| *at > now).min()
    }

    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the next may be taken, where the last would have gone out then at an even pace.
fn opens(taken: Timestamp, burst: i32) -> Timestamp {
    taken - EVERY * (burst - 1)
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
    fn small_delays_do_not_add_up_and_a_long_one_gives_nothing_back() {
        let pace = Pace::new(1);
        assert_eq!(pace.take("C1", Class::Post, at(0)), Ok(()));
        assert_eq!(pace.take("C1", Class::Post, at(1_060)), Ok(()));
        assert_eq!(pace.is_open("C1", Class::Post, at(1_999)), Err(at(2_000)), "as if the second had not been late");
        assert_eq!(pace.is_open("C1", Class::Post, at(2_000)), Ok(()), "and looking takes nothing");
        assert_eq!(pace.take("C1", Class::Post, at(2_500)), Ok(()));
        assert_eq!(pace.take("C1", Class::Post, at(3_499)), Err(at(3_500)));
    }

    #[test]
    fn when_the_edits_of_the_workspace_are_spent_no_channels_edits_are_looked_for() {
        let pace = Pace::new(1);
        for n in 0..EDITS_PER_POST {
            assert_eq!(pace.take(&format!("C{n}"), Class::Edit, at(0)), Ok(()));
        }
        assert_eq!(pace.closed(at(0)), ["*/edit"]);
        assert_eq!(pace.opens_at(at(0)), Some(at(1_000)));
        assert!(pace.closed(at(1_000)).is_empty());
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
        assert_eq!(pace.closed(at(60_000)), ["*/edit"]);
    }
}
