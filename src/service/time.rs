//! Time passes: what has ended by itself is written down, and the cards say so. Safety never waits for this.

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Event, Status};
use crate::store::{Change, Outcome};

/// How many are written down in one turn.
const DUE_MAX: u32 = 100;
/// Call identifiers are kept for this many days: longer than any grant of this version's policies may be retried.
const CALLS_KEPT_DAYS: i64 = 31;

impl Service {
    /// Writes down what has ended. Answers with how many that were.
    ///
    /// # Errors
    /// When the store does not answer; the next turn tries again.
    pub async fn time_passed(&self) -> Result<usize, Error> {
        let now = self.now();
        let (requests, grants) = self.0.store.due(now, DUE_MAX).await?;
        for request in &requests {
            self.time_passed_for(request, now).await?;
        }
        let mut waiting = 0;
        for grant in &grants {
            let looked_after = match grant.time_passed(now) {
                Some(step) => self.commit_grant(grant, step, now).await.map(|_| true)?,
                None => self.look_after(grant, now).await?,
            };
            waiting += usize::from(!looked_after);
        }
        let reviews = self.review_time_passed(now).await?;
        let repeats = self.write_repeats(now).await?;
        Ok(requests.len() + grants.len() - waiting + reviews + repeats)
    }

    /// Forgets call identifiers that nobody will send again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tidy(&self) -> Result<(), Error> {
        let before = self.now() - chrono::Duration::days(CALLS_KEPT_DAYS);
        // About some people Slack may not have answered when the directory was loaded.
        self.directory_loaded().await?;
        self.0.store.forget_step_ups(before).await?;
        self.0.store.forget_cards_of_people(self.now()).await?;
        Ok(self.0.store.forget_calls(before).await?)
    }

    /// When something ends or is due next.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn next_due_at(&self) -> Result<Option<Timestamp>, Error> {
        let now = self.now();
        let (ends, delivery) =
            (self.0.store.next_due_at().await?, self.0.store.next_delivery_at(&self.closed(now), now).await?);
        let turn = self.places().filter_map(|place| place.pace.opens_at(now)).min();
        Ok(ends.into_iter().chain(delivery).chain(turn).min())
    }

    pub(super) async fn time_passed_for(&self, request: &AccessRequest, now: Timestamp) -> Result<(), Error> {
        let Ok(step) = request.apply(Event::TimePassed, now) else { return Ok(()) };
        let commit = self.commit_of(Change::Replace(step.next.clone()), &step);
        // A conflict means that somebody decided first: then there is nothing to write down.
        if self.0.store.commit(commit, now).await? == Outcome::Done {
            measured(&step.next, now);
            self.tell(Some(&request.id));
        }
        Ok(())
    }
}

/// How long it took from the question to its answer, for operators to see who approves without looking and what nobody
/// looks at. Nothing while people are still asked.
pub(super) fn measured(request: &AccessRequest, now: Timestamp) {
    let status = request.status(now);
    if status != Status::Pending {
        let took = (now - request.opened_at).to_std().unwrap_or_default();
        metrics::histogram!("countersign_decision_seconds", "outcome" => status.as_str()).record(took);
    }
}
