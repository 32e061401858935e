//! An HTTP answer as plain data: a status, headers, bytes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ParseError, Problem};

/// An answer, ready to be sent. `Cache-Control: no-store` is always among its headers: an answer about a token
/// must not be given twice by somebody in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case, `content-type` among them where there is a body.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl Rendered {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![("cache-control", "no-store".to_owned())], body: Bytes::new() }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::with_body(status, "application/json", body)
    }

    /// An RFC 9457 problem. `kind` names it for programs: `urn:countersign:problem:{kind}`, or `about:blank` where the
    /// status says it all.
    pub fn problem(status: u16, kind: &str, title: &str, detail: &str) -> Self {
        Self::with_body(status, "application/problem+json", &problem(status, kind, title, detail))
    }

    /// The 401 for every call that could not be authenticated, and for every hook that does not exist: one and the
    /// same, so that it tells nobody which of the two it was.
    pub fn unauthenticated() -> Self {
        let detail = "this call could not be authenticated";
        Self::problem(401, "unauthenticated", "Unauthorized", detail).header("www-authenticate", "Bearer")
    }

    /// The 413 for a body that was not read to its end.
    pub fn too_large(bytes_max: usize) -> Self {
        let detail = format!("the body is longer than {bytes_max} bytes");
        Self::problem(413, "too-large", "Content Too Large", &detail)
    }

    /// The 400 for a call that says something other than its contract, naming each member.
    pub fn malformed(problems: &[Problem]) -> Self {
        let detail = ParseError::in_words(problems);
        let mut body = problem(400, "malformed", "Bad Request", &detail);
        body["invalid_members"] = json!(problems);
        Self::with_body(400, "application/problem+json", &body)
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same answer, asking not to come back for so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }

    fn with_body(status: u16, content_type: &str, body: &impl Serialize) -> Self {
        // Our own bodies are texts, numbers, lists and maps with text keys: what JSON can always say.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut answer = Self::empty(status).header("content-type", content_type);
        answer.body = Bytes::from(body);
        answer
    }
}

fn problem(status: u16, kind: &str, title: &str, detail: &str) -> Value {
    let kind = if kind == "about:blank" { kind.to_owned() } else { format!("urn:countersign:problem:{kind}") };
    json!({ "type": kind, "title": title, "status": status, "detail": detail })
}
