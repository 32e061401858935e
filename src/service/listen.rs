//! Listening to Slack through sockets that we open: several at a time, opened again when they end, and another one
//! before one leaves. Nothing is acknowledged before it is committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Service;
use super::deliver::backoff;
use super::workspaces::{Place, Through};
use crate::slack::SlackError;
use crate::slack::click::NotUnderstood;
use crate::slack::socket::{Arrived, Inbound, Socket};

/// Slack shows an error after three seconds; what is not done by then is not acknowledged.
const DEADLINE: Duration = Duration::from_millis(2_700);
/// How many envelopes of one connection are worked on at the same time.
const AT_ONCE: usize = 256;
/// A connection that leaves is read for so long after another was opened.
const GOODBYE: Duration = Duration::from_secs(10);
/// The pause after Slack did not accept the app-level token.
const TOKEN_PAUSE: Duration = Duration::from_secs(60);

/// An envelope that was taken, with the answer.
type Taken = (String, Option<Value>);

impl Service {
    /// Keeps the sockets of every workspace that has them open, until `stop` says so.
    pub async fn listen(&self, stop: watch::Receiver<bool>) {
        let mut all = JoinSet::new();
        for place in self.places() {
            for _ in 0..place.workspace.connections() {
                let (service, place, stop) = (self.clone(), Arc::clone(place), stop.clone());
                all.spawn(async move { service.keep_connected(&place, stop).await });
            }
        }
        while all.join_next().await.is_some() {}
    }

    /// How many sockets are wanted and are not open.
    pub(super) fn sockets_missing(&self) -> bool {
        self.places().any(|place| place.workspace.connections() > 0 && place.sockets.load(Ordering::Relaxed) == 0)
    }

    /// One of several connections, and its successors.
    async fn keep_connected(&self, place: &Arc<Place>, mut stop: watch::Receiver<bool>) {
        let (mut failures, mut running) = (0, JoinSet::new());
        while !*stop.borrow() {
            let opened = tokio::select! {
                opened = self.open_socket(place) => opened,
                _ = stop.changed() => break,
            };
            let socket = match opened {
                Ok(socket) => socket,
                Err(pause) => {
                    failures += 1;
                    let pause = pause.unwrap_or_else(|| backoff(failures));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => continue,
                        _ = stop.changed() => break,
                    }
                }
            };
            failures = 0;
            // Whoever leaves is read until somebody else listens, and then a little longer.
            let leaves = Arc::new(Notify::new());
            let (service, place, left) = (self.clone(), Arc::clone(place), Arc::clone(&leaves));
            let stopped = stop.clone();
            running.spawn(async move {
                service.serve_socket(&place, socket, &left, stopped).await;
                left.notify_one();
            });
            tokio::select! {
                () = leaves.notified() => {}
                _ = stop.changed() => break,
            }
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    }

    /// Opens one; else how long to wait, where that is known.
    async fn open_socket(&self, place: &Place) -> Result<Socket, Option<Duration>> {
        let Some(token) = &place.workspace.app_token else { return Err(None) };
        let address = place.workspace.slack.open_connection(token).await.map_err(|error| {
            tracing::warn!(error = error.code(), "Slack opens no socket");
            match error {
                SlackError::RateLimited { after } => after,
                SlackError::Permanent(_) => Some(TOKEN_PAUSE),
                SlackError::Temporary(_) | SlackError::OutcomeUnknown(_) => None,
            }
        })?;
        Socket::open(&address).await.map_err(|error| {
            tracing::warn!(%error, "a socket to Slack could not be opened");
            None
        })
    }

    async fn serve_socket(&self, place: &Place, mut socket: Socket, leaves: &Notify, mut stop: watch::Receiver<bool>) {
        place.sockets.fetch_add(1, Ordering::Relaxed);
        let (taken, mut done) = mpsc::channel::<Taken>(AT_ONCE);
        let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let (goodbye, mut ends) = oneshot::channel::<()>();
        let mut goodbye = Some(goodbye);
        let through = self.through_socket_of(place);
        loop {
            tokio::select! {
                arrived = socket.next() => match arrived {
                    Ok(Arrived::Hello | Arrived::Nothing) => {}
                    Ok(Arrived::Leave) => {
                        leaves.notify_one();
                        if let Some(goodbye) = goodbye.take() {
                            tokio::spawn(async move {
                                tokio::time::sleep(GOODBYE).await;
                                let _ = goodbye.send(());
                            });
                        }
                    }
                    Ok(Arrived::Envelope(id, inbound)) => match *inbound {
                        // Over the limit nothing is acknowledged: the person sees a failure and tries again.
                        Ok(inbound) => if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                            let (service, through, taken) = (self.clone(), through.clone(), taken.clone());
                            tokio::spawn(async move {
                                if let Some(answer) = service.take_in_time(inbound, &through).await {
                                    let _ = taken.send((id, answer)).await;
                                }
                                drop(permit);
                            });
                        },
                        Err(error) => not_understood(error),
                    },
                    Err(error) => {
                        tracing::info!(%error, "a socket to Slack ended");
                        break;
                    }
                },
                Some((id, answer)) = done.recv() => {
                    if socket.acknowledge(&id, answer).await.is_err() {
                        break;
                    }
                }
                _ = &mut ends => break,
                _ = stop.changed() => break,
            }
        }
        place.sockets.fetch_sub(1, Ordering::Relaxed);
        // What was committed in the last moment is still acknowledged, if the other side listens.
        while let Ok((id, answer)) = done.try_recv() {
            if socket.acknowledge(&id, answer).await.is_err() {
                break;
            }
        }
        socket.close().await;
    }

    /// What Slack is answered, if all of it was done in time.
    async fn take_in_time(&self, inbound: Inbound, through: &Through) -> Option<Option<Value>> {
        let (service, through) = (self.clone(), through.clone());
        // In a task of its own: an end of the deadline must not leave a click half checked.
        let work = tokio::spawn(async move { service.take(inbound, &through).await });
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(Ok(Ok(answer))) => Some(answer),
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, "what Slack sent could not be recorded and is not acknowledged");
                None
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

fn not_understood(error: NotUnderstood) {
    metrics::counter!("countersign_clicks_refused_total", "why" => "not_understood").increment(1);
    tracing::warn!(%error, "an envelope from Slack is not understood and not acknowledged");
}
