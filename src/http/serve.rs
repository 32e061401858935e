//! The accept loop. Ours, because the stock one has no deadline for headers and no end to its shutdown.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a connection may take to send a request's head; an idle one is closed after as long.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The pause after the system had no descriptor left for a connection.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Serves until `stop` says so; then no connection is accepted any more, and those in flight have `grace` to end.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>, grace: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, ended).await.is_err() {
        tracing::warn!(left = connections.len(), "connections were cut at the end of the drain");
        connections.abort_all();
    }
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    // Small answers must not wait for the peer's acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(serving);
    loop {
        tokio::select! {
            // What the peer does wrong (resets, slow heads) concerns nobody but the peer.
            _ = serving.as_mut() => return,
            _ = stop.changed() => serving.as_mut().graceful_shutdown(),
        }
    }
}
