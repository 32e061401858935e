//! Small pages for people who come with a browser: no script, nothing from elsewhere, every text escaped.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::token_request::SubjectKind;
use crate::service::Confirmation;

/// How the pages look, in light and in dark.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d1c1d;--soft:#616061;--line:#d8d8d8;--paper:#fff;--ground:#f6f6f6;--go:#006b4f}\
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--soft:#a8a8a8;--line:#3a3a3a;--paper:#1e1f22;--ground:#131416;--go:#2bb98d}}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:36rem;margin:8vh auto;padding:1.5rem 2rem;background:var(--paper);border:1px solid var(--line);border-radius:.75rem}\
h1{font-size:1.35rem;margin:0 0 .75rem}p{margin:.5rem 0}dl{margin:1rem 0;display:grid;grid-template-columns:8rem 1fr;gap:.35rem 1rem}\
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}ul{margin:0;padding-left:1.1rem}code{font-size:.95em}\
blockquote{margin:0;padding-left:.75rem;border-left:3px solid var(--line);white-space:pre-wrap}\
button{font:inherit;font-weight:600;padding:.6rem 1.2rem;border:0;border-radius:.5rem;background:var(--go);color:var(--paper);cursor:pointer}\
button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}.note{color:var(--soft);font-size:.9rem}\
@media(max-width:30rem){main{margin:0;border:0;border-radius:0}dl{grid-template-columns:1fr}dt{margin-top:.5rem}}";

/// A page with one thing to say.
pub(super) fn message(status: StatusCode, title: &str, words: &str) -> Response {
    let body = format!("<h1>{}</h1><p>{}</p><p class=note>You can close this page.</p>", text(title), text(words));
    document(status, title, &body)
}

/// What is being approved, once more, and the one button.
pub(super) fn confirmation(confirmation: &Confirmation) -> Response {
    let mut body = format!(
        "<h1>Approve this token?</h1><p>You are signed in as <strong>{}</strong>.</p>{}",
        text(confirmation.who.as_str()),
        facts(confirmation)
    );
    let _ = write!(
        body,
        "<form method=post action=/step-up/confirm><input type=hidden name=csrf value=\"{}\">\
         <button type=submit>Approve</button></form>\
         <p class=note>Nothing is approved before you press the button. To refuse, close this page and press Deny on the card.</p>",
        text(confirmation.csrf.expose_secret())
    );
    document(StatusCode::OK, "Approve this token?", &body)
}

/// What became of it.
pub(super) fn approved(request: &AccessRequest) -> Response {
    let words = match request.settled() {
        Status::Approved => "The request is approved, and the card says so.",
        Status::Pending => "Your approval is recorded. Other people must approve as well.",
        Status::Denied | Status::Expired | Status::Cancelled => {
            "Your approval is recorded; the request has ended since."
        }
    };
    message(StatusCode::OK, "Approved", words)
}

fn facts(confirmation: &Confirmation) -> String {
    let (request, scopes) = (&confirmation.request, &confirmation.scopes);
    let asked = &request.asked;
    let subject = match asked.subject.kind {
        SubjectKind::User => text(&asked.subject.id),
        SubjectKind::Client => "the client itself".to_owned(),
    };
    let mut all = String::from("<dl>");
    let mut row = |name: &str, html: String| {
        let _ = write!(all, "<dt>{name}</dt><dd>{html}</dd>");
    };
    let mut list = String::from("<ul>");
    for (scope, says) in scopes {
        let says = says.as_ref().map_or_else(|| "not described in the policy".to_owned(), |says| text(says));
        let _ = write!(list, "<li><code>{}</code>: {says}</li>", text(scope));
    }
    list.push_str("</ul>");
    row("Scopes", list);
    if !confirmation.taken_out.is_empty() {
        let out = confirmation.taken_out.iter().map(|scope| format!("<code>{}</code>", text(scope.as_str())));
        row("Taken out", out.collect::<Vec<_>>().join("<br>"));
    }
    row("For", subject);
    row("Through", format!("<code>{}</code>", text(&asked.client.id)));
    if !asked.audience.is_empty() {
        row("On", asked.audience.iter().map(|audience| text(audience)).collect::<Vec<_>>().join("<br>"));
    }
    if !asked.actor.is_empty() {
        row("Acting through", asked.actor.iter().map(|actor| text(actor)).collect::<Vec<_>>().join(", "));
    }
    row(
        "For how long",
        text(&humantime::format_duration(std::time::Duration::from_secs(request.duration)).to_string()),
    );
    if let Some(reason) = &asked.reason {
        row("Why (a claim)", format!("<blockquote>{}</blockquote>", text(reason)));
    }
    if let Some(note) = &confirmation.note {
        row("Your words", format!("<blockquote>{}</blockquote>", text(note)));
    }
    row("Request", format!("<code>{}</code>", text(request.id.as_str())));
    all.push_str("</dl>");
    all
}

fn document(status: StatusCode, title: &str, body: &str) -> Response {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{} · Countersign</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>",
        text(title)
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::X_FRAME_OPTIONS, "DENY".to_owned()),
    ];
    (status, headers, page).into_response()
}

/// Text as HTML. What reorders or hides text is taken out: a client's name must not rearrange this page.
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            c if c.is_control() && c != '\n' => {}
            c => escaped.push(c),
        }
    }
    escaped
}
