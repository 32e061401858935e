//! HTTP: who may come in, how much they may send, and which door they take. Acts only through the service.

mod authzen;
mod body;
mod hook;
mod machine;
mod operators;
mod page;
pub mod serve;
mod slack;
mod step_up;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ApiKey;
use crate::domain::ids::SlackTeamId;
use crate::door::Rendered;
use crate::service::Service;

/// What the doors need besides the service.
#[derive(Clone)]
pub struct Doors {
    /// The service.
    pub service: Service,
    /// Slack's signing secrets, of each workspace; two during a rotation.
    pub signing_secrets: Arc<Vec<(SlackTeamId, Vec<SecretString>)>>,
    /// The keys of operators.
    pub api_keys: Arc<Vec<ApiKey>>,
}

/// Every door.
pub fn router(doors: Doors) -> Router {
    Router::new()
        .route("/hooks/{name}", post(hook::called))
        .route("/hooks/{name}/requests/{id}", get(hook::status))
        .route("/hooks/{name}/grants/{id}/revoke", post(hook::revoke))
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/access/v1/evaluations", post(authzen::evaluations))
        .route("/.well-known/authzen-configuration", get(authzen::metadata))
        .route("/slack/interactions", post(slack::interactions))
        .route("/slack/commands", post(slack::commands))
        .route("/slack/events", post(slack::events))
        .route("/step-up/callback", get(step_up::returned))
        .route("/step-up/confirm", post(step_up::confirmed))
        .route("/step-up/{link}", get(step_up::opened))
        .route("/v1/requests", get(operators::requests))
        .route("/v1/requests/{id}", get(operators::request))
        .route("/v1/grants", get(operators::grants))
        .route("/v1/grants/{id}", get(operators::grant))
        .route("/v1/grants/{id}/revoke", post(operators::revoke))
        .route("/v1/audit", get(operators::audit))
        .route("/v1/slack/rebuild", post(operators::rebuild))
        .route("/v1/outbox", get(operators::outbox))
        .route("/v1/reviews", get(operators::reviews))
        .route("/v1/cooldowns", get(operators::cooldowns))
        .route("/v1/cooldowns/lift", post(operators::lift_cooldowns))
        .route("/livez", get(machine::livez))
        .route("/readyz", get(machine::readyz))
        .route("/startupz", get(machine::startupz))
        .route("/metrics", get(machine::metrics))
        .route("/openapi.json", get(machine::openapi))
        .route("/.well-known/jwks.json", get(machine::jwks))
        .fallback(|| async {
            into_response(Rendered::problem(404, "about:blank", "Not Found", "There is no such door."))
        })
        .layer(middleware::from_fn_with_state(doors.clone(), count))
        .layer(CatchPanicLayer::custom(|_| {
            into_response(Rendered::problem(500, "about:blank", "Internal Server Error", "Nothing was granted."))
        }))
        .with_state(doors)
}

async fn count(State(_): State<Doors>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let path = path.unwrap_or_else(|| "none".to_owned());
    metrics::counter!("countersign_http_requests_total", "door" => path, "status" => response.status().as_u16().to_string())
        .increment(1);
    response
}

/// The names in a path. One that cannot be read is empty, which nothing is called: the door then answers as it does
/// to any other unknown name.
struct PathParts<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Default + Send> FromRequestParts<S> for PathParts<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        Ok(Self(read.map(|Path(names)| names).unwrap_or_default()))
    }
}

fn into_response(rendered: Rendered) -> Response {
    let status = axum::http::StatusCode::from_u16(rendered.status).unwrap_or_default();
    let mut response = (status, rendered.body).into_response();
    let headers = response.headers_mut();
    headers.remove("content-type");
    for (name, value) in rendered.headers {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    response
}
