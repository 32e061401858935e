//! What the tests of every dialect need: a verified call, and one of each answer.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, Denied, DeniedKind, Granted, HookAuth, Pending, Rendered, Verified, authenticate};
use crate::domain::Timestamp;
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::policy::Refused;
use crate::domain::scope::{Scope, ScopeSet};

/// The bytes of a call that was authenticated.
pub(crate) fn verified(body: impl Into<Bytes>) -> Verified {
    let headers = HeaderMap::from_iter([("authorization".parse().unwrap(), HeaderValue::from_static("Bearer k"))]);
    authenticate(&HookAuth::Bearer(vec!["k".into()]), &headers, &body.into()).unwrap()
}

/// The instant of an RFC 3339 text.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A grant of `scopes`, as the fixtures tell it.
pub(crate) fn granted(scopes: &str) -> Granted {
    Granted {
        scopes: ScopeSet::parse(scopes).unwrap(),
        lifetime: 900,
        expires_at: at("2027-02-03T10:15:00.900Z"),
        grant_expires_at: at("2027-02-03T12:00:00Z"),
        grant_id: GrantId::parse("grn_0123456789abcdef0123456789abcdef").unwrap(),
        request_id: Some(request_id()),
        receipt: "eyJ.e30.c2ln".to_owned(),
        dropped: BTreeMap::new(),
        pending: None,
    }
}

/// The same with one scope that dropped out.
pub(crate) fn narrowed(scopes: &str, dropped: &str, says: &str) -> Answer {
    let refused = Refused { rule: None, says: says.to_owned() };
    let dropped = BTreeMap::from([(Scope::try_from(dropped.to_owned()).unwrap(), refused)]);
    Answer::Granted(Granted { dropped, ..granted(scopes) })
}

fn request_id() -> RequestId {
    RequestId::parse("req_fedcba9876543210fedcba9876543210").unwrap()
}

/// One of each answer, by the name that it has in the fixtures. `scopes` is what was asked for.
pub(crate) fn every_answer(scopes: &str) -> Vec<(&'static str, Answer)> {
    let status_url = "https://countersign.example/hooks/shop/requests/req_fedcba9876543210fedcba9876543210";
    let denied = |error, says: &str, request_id| Answer::Denied(Denied { says: says.to_owned(), request_id, error });
    vec![
        ("granted", Answer::Granted(granted(scopes))),
        ("allowed", Answer::Granted(Granted { request_id: None, ..granted(scopes) })),
        (
            "pending",
            Answer::Pending(Pending {
                request_id: request_id(),
                interval: 5,
                status_url: status_url.to_owned(),
                expires_at: at("2027-02-03T10:30:00Z"),
            }),
        ),
        ("denied", denied(DeniedKind::Person, "Not during stocktaking.", Some(request_id()))),
        ("not_covered", denied(DeniedKind::NotCovered, "No live grant covers this.", None)),
        ("too_many", Answer::TooMany { retry_after_secs: 30, says: "Three requests are pending already.".to_owned() }),
        ("conflict", Answer::Conflict),
        ("unavailable", Answer::Unavailable { retry_after_secs: 2, says: "The store does not answer.".to_owned() }),
    ]
}

/// An answer as the fixtures write it.
pub(crate) fn on_the_wire(answer: &Rendered) -> Value {
    let headers: BTreeMap<&str, &str> = answer.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(headers.len(), answer.headers.len(), "a header is there twice");
    let body: Value = match answer.body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&answer.body).unwrap(),
    };
    json!({ "status": answer.status, "headers": headers, "body": body })
}
