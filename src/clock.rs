//! Where time comes from. The only file that asks the operating system what time it is.
//!
//! Inside the domain there is no clock at all: `now` is an argument. This trait exists because two
//! real clocks exist: the system's, and the one that the tests advance by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// An instant in UTC, as the whole service uses it: milliseconds are the finest grain, because
/// that is what the store keeps.
pub type Timestamp = DateTime<Utc>;

/// A source of the current time.
pub trait Clock: Send + Sync + 'static {
    /// The current instant, cut to whole milliseconds.
    fn now(&self) -> Timestamp;
}

/// A clock that is shared by the parts of one service.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time is read")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(3)
    }
}

/// A clock that stands still until somebody advances it. For the tests and the benchmarks.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start.trunc_subsecs(3))))
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        let mut at = self.lock();
        *at = at.checked_add_signed(chrono::Duration::from_std(by).unwrap_or_default()).unwrap_or(*at);
    }

    /// Sets the clock, backwards too: for the tests of what a bad clock may do.
    pub fn set(&self, to: Timestamp) {
        *self.lock() = to.trunc_subsecs(3);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Timestamp> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.lock()
    }
}
