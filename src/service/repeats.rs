//! A machine that keeps asking while people think it over: one card with a counter.
//!
//! Counting costs the caller nothing but memory. What was counted is written at a bounded rate for each access
//! request, so a stop loses at most what came since; nothing is decided by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{Event, Repeats as Counted};
use crate::domain::ids::RequestId;
use crate::store::{Change, Outcome};

/// What was counted of one access request is written no more often than this.
const WRITE_EVERY: chrono::Duration = chrono::Duration::seconds(60);
/// How many access requests are counted at once; further ones show no counter.
const COUNTED_MAX: usize = 10_000;

struct Count {
    more: Counted,
    written: Timestamp,
}

/// The counters that wait to be written.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<RequestId, Count>>);

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same call came again.
    pub(super) fn count(&self, id: &RequestId, now: Timestamp) {
        let mut all = self.lock();
        if let Some(count) = all.get_mut(id) {
            count.more.times = count.more.times.saturating_add(1);
            count.more.last = now;
        } else if all.len() < COUNTED_MAX {
            all.insert(id.clone(), Count { more: Counted { times: 1, last: now }, written: now });
        }
    }

    /// What is to be written now. It counts from 0 again.
    fn due(&self, now: Timestamp) -> Vec<(RequestId, Counted)> {
        let mut due = Vec::new();
        self.lock().retain(|id, count| {
            if now - count.written < WRITE_EVERY {
                return true;
            }
            // Nothing since the last time: whoever comes again is counted anew.
            if count.more.times == 0 {
                return false;
            }
            due.push((id.clone(), count.more.clone()));
            (count.more.times, count.written) = (0, now);
            true
        });
        due
    }
}

impl Service {
    /// Writes down how often machines asked again. Answers with how many access requests that changed.
    pub(super) async fn write_repeats(&self, now: Timestamp) -> Result<usize, Error> {
        let mut written = 0;
        for (id, more) in self.0.repeats.due(now) {
            let Some(request) = self.0.store.request(&id).await? else { continue };
            // Settled meanwhile, or somebody else was first: a counter is not worth another try.
            let Ok(step) = request.apply(Event::Repeated(more), now) else { continue };
            let commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            if self.0.store.commit(commit, now).await? == Outcome::Done {
                self.tell(None);
                written += 1;
            }
        }
        Ok(written)
    }
}
