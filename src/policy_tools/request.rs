//! A token request from a file: the body of the generic dialect, and which hook it came to.

use anyhow::{Context, bail};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use crate::domain::ids::HookName;
use crate::domain::token_request::TokenRequest;
use crate::door::{HookAuth, ParseError, Verified, authenticate};
use crate::hooks::generic;

/// Reads a token request as the generic dialect does; `hook` beside its members says where it came in.
pub(super) fn read(body: &[u8]) -> anyhow::Result<TokenRequest> {
    let members: Value = serde_json::from_slice(body).context("the request is not JSON")?;
    let hook = match &members["hook"] {
        Value::String(name) => HookName::parse(name.as_str()).context("`hook` of the request")?,
        _ => bail!("the request does not say which hook it comes to: \"hook\": \"NAME\" beside the other members"),
    };
    match generic::parse(&vouched(body)?, &hook) {
        Ok(asked) => Ok(asked),
        Err(ParseError::Malformed(problems)) => bail!("the request: {}", ParseError::in_words(&problems)),
        Err(ParseError::Refused(says)) => bail!("such a request is refused before any rule is read: {says}"),
    }
}

/// Whoever runs a command on a file vouches for what it holds, and is on both ends of this call. So no other way
/// around authentication is needed than the one that servers take.
fn vouched(body: &[u8]) -> anyhow::Result<Verified> {
    const OURSELVES: &str = "the-command-line-itself";
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer the-command-line-itself"));
    let auth = HookAuth::Bearer(vec![SecretString::from(OURSELVES)]);
    authenticate(&auth, &headers, &Bytes::copy_from_slice(body)).context("the request cannot be read")
}
