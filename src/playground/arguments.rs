//! The arguments of a Web API call: as JSON, form or query, read carefully.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::blocks;
use super::workspace::{Draft, Refused};

/// By name.
pub type Arguments = Map<String, Value>;

/// The arguments of query and body together; the body wins.
pub fn read(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Arguments, Refused> {
    let mut all = form(query.unwrap_or_default().as_bytes())?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if body.is_empty() {
        return Ok(all);
    }
    if kind.starts_with("application/json") {
        let value: Value = serde_json::from_slice(body).map_err(|_| Refused::from("invalid_json"))?;
        let Value::Object(members) = value else { return Err("json_not_object".into()) };
        all.extend(members);
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        all.extend(form(body)?);
    } else {
        return Err("invalid_post_type".into());
    }
    Ok(all)
}

fn form(text: &[u8]) -> Result<Arguments, Refused> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_bytes(text).map_err(|_| Refused::from("invalid_form_data"))?;
    Ok(pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
}

/// A text argument; absent is empty, which no id is.
pub fn text<'a>(a: &'a Arguments, name: &str) -> &'a str {
    a.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The hash that a view must still have.
pub fn hash(a: &Arguments) -> Option<&str> {
    a.get("hash").and_then(Value::as_str)
}

/// An argument that is JSON, or JSON in a text (as forms carry it).
pub fn structured(a: &Arguments, name: &str, wrong: &'static str) -> Result<Option<Value>, Refused> {
    match a.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| wrong.into()),
        Some(value) => Ok(Some(value.clone())),
    }
}

/// What the app wants to say, with its blocks checked.
pub fn draft(a: &Arguments) -> Result<Draft, Refused> {
    let blocks = match structured(a, "blocks", "invalid_blocks_format")? {
        Some(given) => Some(blocks::message(given).map_err(|found| Refused::because("invalid_blocks", found))?),
        None => None,
    };
    let metadata = structured(a, "metadata", "invalid_metadata_format")?;
    if metadata.as_ref().is_some_and(|held| !held["event_type"].is_string() || !held["event_payload"].is_object()) {
        return Err("invalid_metadata_schema".into());
    }
    let own = |name| a.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Draft { text: own("text"), blocks, thread_ts: own("thread_ts"), metadata, by: None })
}

/// The view that a call carries, checked.
pub fn view(a: &Arguments) -> Result<Value, Refused> {
    let view = structured(a, "view", "invalid_arguments")?.ok_or(Refused::from("invalid_arguments"))?;
    blocks::view(view).map_err(|found| Refused::because("invalid_arguments", found))
}

/// Whether a flag is set, as JSON or as forms write it.
pub fn flag(a: &Arguments, name: &str) -> bool {
    matches!(a.get(name), Some(Value::Bool(true))) || matches!(text(a, name), "true" | "1")
}

/// A page of `all`: at most `limit` of them, beginning where the cursor says; and the next cursor.
pub fn page<T>(a: &Arguments, all: Vec<T>, default: usize) -> Result<(Vec<T>, String), Refused> {
    let limit = match a.get("limit") {
        Some(Value::Number(number)) => number.as_u64().and_then(|limit| usize::try_from(limit).ok()),
        Some(Value::String(digits)) => digits.parse().ok(),
        _ => Some(default),
    };
    let limit = limit.filter(|limit| (1..=1000).contains(limit)).ok_or(Refused::from("invalid_limit"))?;
    let begin = match text(a, "cursor") {
        "" => 0,
        cursor => cursor.strip_prefix("next:").and_then(|at| at.parse().ok()).ok_or(Refused::from("invalid_cursor"))?,
    };
    let end = begin + limit;
    let next = if end < all.len() { format!("next:{end}") } else { String::new() };
    Ok((all.into_iter().skip(begin).take(limit).collect(), next))
}
