//! Doors for machines: is it alive, is it ready, how is it doing.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Doors, into_response};
use crate::door::Rendered;
use crate::service::StoreError;
use crate::telemetry;

/// `GET /livez`: the process runs and its writer does not hang. Slack has no say in it.
pub async fn livez(State(doors): State<Doors>) -> Response {
    into_response(match doors.service.writing_works().await {
        // A full disk does not become empty by a restart; a writer that is gone may come back by one.
        Ok(()) | Err(StoreError::CannotWrite(_)) => Rendered::json(200, &json!({ "status": "alive" })),
        Err(error) => {
            tracing::error!(%error, "the writer does not answer");
            Rendered::problem(503, "about:blank", "Service Unavailable", "The writer does not answer.")
        }
    })
}

/// `GET /readyz`: something real could be written just now, and calls are welcome.
pub async fn readyz(State(doors): State<Doors>) -> Response {
    if doors.service.is_draining() {
        return into_response(Rendered::problem(503, "about:blank", "Service Unavailable", "It is stopping."));
    }
    let degraded = doors.service.degraded().await;
    into_response(match doors.service.writing_works().await {
        Ok(()) => Rendered::json(200, &json!({ "status": "ready", "degraded": degraded })),
        Err(error) => {
            tracing::error!(%error, "not ready");
            Rendered::problem(503, "about:blank", "Service Unavailable", "The store cannot be written.")
        }
    })
}

/// `GET /startupz`: it answers only once the store is open and checked, so answering is the answer.
pub async fn startupz() -> Response {
    into_response(Rendered::json(200, &json!({ "status": "started" })))
}

/// `GET /metrics`
pub async fn metrics(State(doors): State<Doors>) -> Response {
    doors.service.measure().await;
    let text = telemetry::metrics().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// `GET /openapi.json`
pub async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// `GET /.well-known/jwks.json`: the keys that receipts verify with.
pub async fn jwks(State(doors): State<Doors>) -> Response {
    into_response(Rendered::json(200, &doors.service.jwks()))
}
