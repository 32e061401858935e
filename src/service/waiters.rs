//! Held calls: who waits for which access request.
//!
//! A waiter subscribes first and reads the store afterwards, so that a decision between the two is not missed.
//! Waking says nothing but "look again": the truth is in the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::ids::RequestId;

/// How many calls may be held at once; above it a call is answered at once.
pub const HELD_MAX: usize = 100_000;

/// The registry.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Registry>);

#[derive(Default)]
struct Registry {
    held: AtomicUsize,
    by_request: Mutex<HashMap<RequestId, watch::Sender<()>>>,
}

/// One held call. Dropping it (the caller went away) leaves nothing behind.
pub struct Waiter {
    id: RequestId,
    woken: watch::Receiver<()>,
    waiters: Waiters,
}

impl Waiters {
    /// Waits for news of an access request, from now on.
    pub fn subscribe(&self, id: &RequestId) -> Waiter {
        let woken = self.lock().entry(id.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        self.0.held.fetch_add(1, Ordering::Relaxed);
        Waiter { id: id.clone(), woken, waiters: self.clone() }
    }

    /// Lets everybody who waits for it look again.
    pub fn wake(&self, id: &RequestId) {
        if let Some(sender) = self.lock().get(id) {
            sender.send_replace(());
        }
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, watch::Sender<()>>> {
        self.0.by_request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Comes back when there is news.
    pub async fn news(&mut self) {
        // The sender lives as long as this waiter, so an error cannot happen; it would mean "look again" too.
        let _ = self.woken.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.0.held.fetch_sub(1, Ordering::Relaxed);
        let mut all = self.waiters.lock();
        if all.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_between_subscribing_and_waiting_is_not_lost() {
        let waiters = Waiters::default();
        let id = RequestId::parse(format!("req_{}", "0".repeat(32))).unwrap();
        let mut waiter = waiters.subscribe(&id);
        waiters.wake(&id);
        waiter.news().await;
        drop(waiter);
        assert_eq!(waiters.held(), 0);
        assert!(waiters.lock().is_empty());
    }
}
