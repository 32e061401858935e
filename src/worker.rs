//! The worker: loops without opinions. What is due is found in the store, so a missed turn repairs itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::service::Service;

/// How many deliveries are under way at the same time, so that channels that hang do not hold up the others.
const UNDER_WAY_MAX: usize = 64;
/// The longest sleep: how late something may be noticed that nobody announced.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The pause after the store did not answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);
/// How often what nobody needs any more is thrown away.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Delivers and ends what is due until `stop` says so.
pub async fn run(service: Service, stop: watch::Receiver<bool>) {
    let mut loops = JoinSet::new();
    loops.spawn(deliver(service.clone(), stop.clone()));
    loops.spawn(listen(service.clone(), stop.clone()));
    loops.spawn(pass_time(service.clone(), stop.clone()));
    loops.spawn(tidy(service, stop));
    while loops.join_next().await.is_some() {}
}

async fn deliver(service: Service, mut stop: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    while !*stop.borrow() {
        // The commit that announced this also woke held calls, and others click: they write first.
        service.others_first().await;
        while under_way.try_join_next().is_some() {}
        let room = UNDER_WAY_MAX - under_way.len();
        let due = if room == 0 { Ok(Vec::new()) } else { service.due(room).await };
        let due = due.unwrap_or_else(|error| {
            tracing::error!(%error, "deliveries wait for the store");
            Vec::new()
        });
        let found = !due.is_empty();
        for one in due {
            let service = service.clone();
            under_way.spawn(async move {
                if let Err(error) = Box::pin(service.deliver_one(one)).await {
                    tracing::error!(%error, "a delivery waits for the store");
                }
            });
        }
        if !found {
            tokio::select! {
                () = rest(&service, &mut stop) => {}
                Some(_) = under_way.join_next() => {}
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// Also where time is the tests': what Slack sends comes when it comes.
pub async fn listen(service: Service, stop: watch::Receiver<bool>) {
    service.listen(stop).await;
}

async fn pass_time(service: Service, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match service.time_passed().await {
            Ok(0) => rest_until_due(&service, &mut stop).await,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "what has ended waits to be written down");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

async fn tidy(service: Service, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            _ = stop.changed() => return,
        }
        if let Err(error) = service.tidy().await {
            tracing::error!(%error, "old call identifiers could not be forgotten");
        }
    }
}

/// Sleeps until something is due, somebody announces work, or it is time to stop.
async fn rest(service: &Service, stop: &mut watch::Receiver<bool>) {
    let pause = pause(service).await;
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = service.work_to_do() => {}
        _ = stop.changed() => {}
    }
}

/// The same without being woken: an announcement wakes one loop, and that must be one that delivers.
async fn rest_until_due(service: &Service, stop: &mut watch::Receiver<bool>) {
    let pause = pause(service).await;
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _ = stop.changed() => {}
    }
}

async fn pause(service: &Service) -> Duration {
    let next = service.next_due_at().await.ok().flatten();
    let wait = next.map(|at| (at - service.now()).to_std().unwrap_or(Duration::from_millis(10)));
    wait.unwrap_or(SLEEP_MAX).clamp(Duration::from_millis(10), SLEEP_MAX)
}
