//! AuthZEN's doors: evaluation, evaluations, metadata. `X-Request-ID` comes back on every answer.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Doors, body, hook, into_response};
use crate::authzen;
use crate::domain::ids::HookName;
use crate::door::{ParseError, Rendered, Verified, authenticate};
use crate::service::Hook;

type Parse = fn(&Verified, &HookName) -> Result<authzen::Parsed, authzen::Error>;

/// `POST /access/v1/evaluation`
pub async fn evaluation(State(doors): State<Doors>, request: Request) -> Response {
    into_response(evaluate(&doors, request, authzen::parse_evaluation).await)
}

/// `POST /access/v1/evaluations`
pub async fn evaluations(State(doors): State<Doors>, request: Request) -> Response {
    into_response(evaluate(&doors, request, authzen::parse_evaluations).await)
}

/// `GET /.well-known/authzen-configuration`; there is none where no hook speaks AuthZEN.
pub async fn metadata(State(doors): State<Doors>) -> Response {
    into_response(match doors.service.authzen_hook() {
        Some(_) => authzen::metadata(doors.service.public_url()),
        None => Rendered::problem(404, "about:blank", "Not Found", "No hook of this service speaks AuthZEN."),
    })
}

async fn evaluate(doors: &Doors, request: Request, parse: Parse) -> Rendered {
    let request_id = request.headers().clone();
    authzen::echo_request_id(decide(doors, request, parse).await, &request_id)
}

async fn decide(doors: &Doors, request: Request, parse: Parse) -> Rendered {
    let (parts, body) = match body::read(request).await {
        Ok(read) => read,
        Err(rendered) => return authzen::message(rendered.status, "the body could not be read"),
    };
    let entered: Option<(std::sync::Arc<Hook>, Verified)> = doors
        .service
        .authzen_hook()
        .and_then(|hook| authenticate(&hook.auth, &parts.headers, &body).map(|verified| (hook, verified)));
    let Some((hook, verified)) = entered else {
        metrics::counter!("countersign_unauthenticated_total", "door" => "authzen").increment(1);
        return authzen::unauthenticated();
    };
    match parse(&verified, &hook.name) {
        Ok(parsed) => {
            let answer = hook::answer(&doors.service, &hook, parsed.request, &verified, hook.hold).await;
            authzen::render(&answer, &parsed.echo)
        }
        Err(error) => {
            hook::refused(&doors.service, &hook, &ParseError::Refused(error.to_string())).await;
            authzen::render_error(&error)
        }
    }
}
