//! Repeatable choices: the same seed chooses the same again, as far as the system's timing lets it.

use std::time::Duration;

/// A small generator (splitmix64): good enough to choose, not for secrets.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// The generator of this seed, and of this part of the run.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut dice = Self(seed ^ part.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.next();
        dice
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True this often in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them, if there is any.
    pub fn one<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).unwrap_or(0))
    }

    /// One of the last `most` of them.
    pub fn recent<'a, T>(&mut self, all: &'a [T], most: usize) -> Option<&'a T> {
        self.one(&all[all.len().saturating_sub(most)..])
    }

    /// A time between the two, as likely below their geometric mean as above it.
    pub fn log_uniform(&mut self, least: Duration, most: Duration) -> Duration {
        let share = f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let (least, most) = (least.as_secs_f64().ln(), most.as_secs_f64().ln());
        Duration::from_secs_f64((least + share * (most - least)).exp())
    }
}
