//! Nobody has decided yet: who is told again, and when. And the machine that keeps asking: counted, not repeated.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccessRequest, Effect, Refusal, Step};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::grant::after;
use crate::domain::policy::Reminder;

/// How often the same token request came again while people think it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// How many times, the first call not counted.
    pub times: u32,
    /// The last time.
    pub last: Timestamp,
}

impl AccessRequest {
    /// The reminder that is sent next, and when; none where all were sent.
    pub fn next_reminder(&self) -> Option<(&Reminder, Timestamp)> {
        let next = self.question.reminders.get(usize::try_from(self.reminded).ok()?)?;
        Some((next, after(self.opened_at, next.after)))
    }

    /// One step for each reminder, also where time jumped past several of them.
    pub(super) fn remind(&self, now: Timestamp) -> Result<Step, Refusal> {
        let Some((reminder, _)) = self.next_reminder().filter(|(_, at)| now >= *at) else {
            return Err(Refusal::Nothing);
        };
        let mut next = self.clone();
        next.reminded += 1;
        let detail = json!({ "after": reminder.after, "to": reminder.to, "number": next.reminded });
        let summary = if reminder.to.is_empty() {
            format!("nobody has decided after {} s; those who were asked are reminded", reminder.after)
        } else {
            let to: Vec<&str> = reminder.to.iter().map(|set| set.as_str()).collect();
            format!("nobody has decided after {} s; {} is told", reminder.after, to.join(" and "))
        };
        let audit = next.entry(Kind::RequestReminded, Actor::Time, summary, detail, now);
        let effects = vec![Effect::Remind { number: self.reminded }];
        Ok(Step { next, grant: None, cooldowns: Vec::new(), audit, effects })
    }

    /// The same token request came so many more times, with nothing new in it.
    pub(super) fn repeat(&self, more: &Repeats, now: Timestamp) -> Result<Step, Refusal> {
        if more.times == 0 {
            return Err(Refusal::Nothing);
        }
        let mut next = self.clone();
        let before = self.repeats.as_ref();
        let times = before.map_or(0, |before| before.times).saturating_add(more.times);
        let last = before.map_or(more.last, |before| before.last.max(more.last));
        next.repeats = Some(Repeats { times, last });
        let hook = Actor::Hook(self.asked.hook.clone());
        let summary = format!("asked {} times by now", times.saturating_add(1));
        let audit = next.entry(Kind::RequestJoined, hook, summary, json!({ "times": times, "last": last }), now);
        Ok(Step { next, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::RefreshCards] })
    }
}
