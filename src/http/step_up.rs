//! The pages of the ceremony in the browser: to the provider, back from it, and the confirmation that decides.
//!
//! They carry no script and nothing from elsewhere. The cookie ties the way back to the browser that left; the
//! form's token ties the confirmation to one click, one access request and one shown version.

use axum::extract::Request;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{Doors, PathParts, body, into_response, page};
use crate::service::{Error, Returned};

/// The cookie that the browser must bring back.
const COOKIE: &str = "countersign_step_up";
/// How long it is kept, in seconds: no longer than the ceremony may take.
const COOKIE_SECONDS: u32 = 600;

/// What the provider appends to our address (OpenID Connect Core 1.0, section 3.1.2.5; RFC 9207).
#[derive(Debug, Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Confirmed {
    #[serde(default)]
    csrf: String,
}

/// `GET /step-up/{link}`: to the provider.
pub(super) async fn opened(State(doors): State<Doors>, PathParts(link): PathParts<String>) -> Response {
    match doors.service.step_up_opened(&link).await {
        Ok(Ok(sent)) => {
            let secure = if doors.service.public_url().starts_with("https:") { "; Secure" } else { "" };
            let cookie = format!(
                "{COOKIE}={}; Path=/step-up; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}",
                sent.cookie.expose_secret()
            );
            let headers = [
                (header::LOCATION, sent.url),
                (header::SET_COOKIE, cookie),
                (header::CACHE_CONTROL, "no-store".to_owned()),
                (header::REFERRER_POLICY, "no-referrer".to_owned()),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Ok(Err(why)) => page::message(StatusCode::FORBIDDEN, "Nothing was approved", &why.to_string()),
        Err(error) => failed(&error),
    }
}

/// `GET /step-up/callback`: back from the provider. Shows what would be approved; decides nothing.
pub(super) async fn returned(
    State(doors): State<Doors>,
    headers: HeaderMap,
    query: Result<Query<Back>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(back)) = query else {
        return page::message(StatusCode::BAD_REQUEST, "Nothing was approved", "This address cannot be read.");
    };
    let returned = Returned { state: back.state, code: back.code, issuer: back.iss, failed: back.error.is_some() };
    match doors.service.step_up_returned(&returned, cookie(&headers)).await {
        Ok(Ok(confirmation)) => page::confirmation(&confirmation),
        Ok(Err(why)) => page::message(StatusCode::FORBIDDEN, "Nothing was approved", &why.to_string()),
        Err(error) => failed(&error),
    }
}

/// `POST /step-up/confirm`: the approver's word.
pub(super) async fn confirmed(State(doors): State<Doors>, request: Request) -> Response {
    let (parts, body) = match body::read(request).await {
        Ok(read) => read,
        Err(rendered) => return into_response(rendered),
    };
    let Ok(form) = serde_urlencoded::from_bytes::<Confirmed>(&body) else {
        return page::message(StatusCode::BAD_REQUEST, "Nothing was approved", "This form cannot be read.");
    };
    match doors.service.step_up_confirmed(&form.csrf, cookie(&parts.headers)).await {
        Ok(Ok(request)) => page::approved(&request),
        Ok(Err(why)) => page::message(StatusCode::FORBIDDEN, "Nothing was approved", &why.to_string()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Response {
    tracing::error!(%error, "an authentication could not be recorded");
    page::message(StatusCode::SERVICE_UNAVAILABLE, "Nothing was approved", error.shown())
}

fn cookie(headers: &HeaderMap) -> &str {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).unwrap_or_default()
}
