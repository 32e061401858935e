//! What time it was for whoever asked. It owns when that is unusual, and decides nothing.

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Weekday};
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::identity::Principal;

/// The hours of a working day in which asking is nothing unusual: from the first, until before the second.
const HOURS: (u32, u32) = (7, 20);

/// Somebody's clock, as Slack knew it when they asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Whose it is.
    pub of: Principal,
    /// How far it is from UTC, in seconds to the east.
    offset: i32,
}

impl Clock {
    /// A clock that is possible: within a day of UTC.
    pub fn new(of: Principal, offset: i32) -> Option<Self> {
        FixedOffset::east_opt(offset).map(|_| Self { of, offset })
    }

    /// What it shows. None where a row holds no possible clock.
    pub fn reads(&self, at: Timestamp) -> Option<DateTime<FixedOffset>> {
        Some(at.with_timezone(&FixedOffset::east_opt(self.offset)?))
    }
}

/// Whether it is a weekend.
pub fn is_weekend<T: Datelike>(day: &T) -> bool {
    match day.weekday() {
        Weekday::Sat | Weekday::Sun => true,
        Weekday::Mon | Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => false,
    }
}

/// Whether somebody who works would not be at work then.
pub fn is_out_of_hours(local: &DateTime<FixedOffset>) -> bool {
    is_weekend(local) || !(HOURS.0..HOURS.1).contains(&local.hour())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(utc: &str, offset: i32) -> DateTime<FixedOffset> {
        let clock = Clock::new(Principal::new("alice@example.com"), offset).unwrap();
        clock.reads(utc.parse().unwrap()).unwrap()
    }

    #[test]
    fn whose_clock_it_is_decides_what_is_out_of_hours() {
        // Wednesday, 17:30 in London: evening in Tokyo is Thursday, in California it is morning.
        let at = "2026-11-25T17:30:00Z";
        assert!(!is_out_of_hours(&local(at, 0)));
        assert!(is_out_of_hours(&local(at, 9 * 3_600)));
        assert!(!is_out_of_hours(&local(at, -8 * 3_600)));
        // From seven to eight in the evening, to the second.
        for (time, out) in [("06:59:59", true), ("07:00:00", false), ("19:59:59", false), ("20:00:00", true)] {
            assert_eq!(is_out_of_hours(&local(&format!("2026-11-25T{time}Z"), 0)), out, "{time}");
        }
        // Friday night in California is Saturday in Europe.
        let night = "2026-11-28T01:00:00Z";
        assert!(is_weekend(&local(night, 0)) && !is_weekend(&local(night, -8 * 3_600)));
        assert!(is_out_of_hours(&local("2026-11-28T12:00:00Z", 0)), "a weekend at noon");
    }

    #[test]
    fn a_clock_that_is_impossible_is_none() {
        let who = || Principal::new("alice@example.com");
        assert_eq!(Clock::new(who(), 86_400), None);
        assert_eq!(Clock::new(who(), i32::MIN), None);
        assert!(Clock::new(who(), -86_399).is_some());
    }
}
