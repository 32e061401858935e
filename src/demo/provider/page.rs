//! The one page of the demonstration's OpenID provider: who are you? It says what it is, and loads nothing.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How it looks, in light and in dark; another colour than the service's own pages, because it is somebody else's.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1c22;--soft:#5c5f6d;--line:#d9dae2;--paper:#fff;--ground:#eef0f8;--go:#3a4cc0;--on:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#ececf2;--soft:#a5a8b8;--line:#3b3d4b;--paper:#1d1f28;--ground:#12131a;--go:#9aa8ff;--on:#12131a}}\
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:34rem;margin:8vh auto;padding:1.75rem 2rem;background:var(--paper);border:1px solid var(--line);border-radius:.75rem}\
h1{font-size:1.35rem;margin:0 0 .5rem}p{margin:.5rem 0}.tag{display:inline-block;margin:0 0 1rem;padding:.1rem .6rem;border:1px solid var(--line);border-radius:1rem;color:var(--soft);font-size:.85rem}\
fieldset{border:0;margin:1.25rem 0 0;padding:0}legend{padding:0;font-weight:600;margin-bottom:.35rem}\
label{display:flex;gap:.7rem;align-items:baseline;padding:.6rem .8rem;margin:.4rem 0;border:1px solid var(--line);border-radius:.5rem;cursor:pointer}\
label:has(:checked){border-color:var(--go);box-shadow:inset 0 0 0 1px var(--go)}label span{overflow-wrap:anywhere}label small{display:block;color:var(--soft);font-size:.85rem}\
input{accent-color:var(--go);margin:0}button{font:inherit;font-weight:600;margin-top:1.5rem;padding:.6rem 1.4rem;border:0;border-radius:.5rem;background:var(--go);color:var(--on);cursor:pointer}\
:focus-visible{outline:3px solid var(--ink);outline-offset:2px}.note{color:var(--soft);font-size:.9rem;margin-top:1.25rem}\
@media(max-width:30rem){main{margin:0;border:0;border-radius:0;min-height:100vh}}";

/// Who can sign in, and how. `back` is the only other place that the form may lead to.
pub(super) fn sign_in(ticket: &str, hint: &str, people: &[(&str, &str)], back: &str) -> Response {
    let choose = |(n, (email, name)): (usize, &(&str, &str))| {
        let checked =
            if *email == hint || (n == 0 && !people.iter().any(|(email, _)| *email == hint)) { " checked" } else { "" };
        format!(
            "<label><input type=radio name=email value=\"{email}\"{checked}><span>{name}<small>{email}</small></span></label>"
        )
    };
    let people: String = people.iter().enumerate().map(choose).collect();
    let body = format!(
        "<h1>Sign in</h1><p class=tag>a demonstration, in place of your company’s OpenID provider</p>\
         <p>An approval of this kind needs a fresh sign-in. There are no passwords here: say who you are, and by which \
         means you would have proved it.</p>\
         <form method=post action=/sign-in><input type=hidden name=ticket value=\"{ticket}\">\
         <fieldset><legend>Sign in as</legend>{people}</fieldset>\
         <fieldset><legend>By means of</legend>\
         <label><input type=radio name=context value=security_key checked><span>a security key<small>what the demo’s configuration asks for</small></span></label>\
         <label><input type=radio name=context value=password><span>a password alone<small>too weak: it will be refused</small></span></label></fieldset>\
         <button type=submit>Sign in</button></form>\
         <p class=note>Sign in as somebody else than the approver who clicked, or with a password alone, to feel a refusal.</p>"
    );
    document(StatusCode::OK, &body, back)
}

/// A page with one thing to say.
pub(super) fn refusal(words: &str) -> Response {
    document(StatusCode::BAD_REQUEST, &format!("<h1>Nobody signed in</h1><p>{words}</p>"), "")
}

fn document(status: StatusCode, body: &str, back: &str) -> Response {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self' {back}; base-uri 'none'; frame-ancestors 'none'"
    );
    let page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Sign in · demonstration provider</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (status, headers, page).into_response()
}
