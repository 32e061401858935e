//! The demonstration's OpenID provider: where the people of the demo sign in again. It stands in for a company's own,
//! speaks OpenID Connect Core 1.0 (code flow with PKCE) as far as that needs, on loopback and with a key of this run.
//! There are no passwords: whoever sits there says who they are. It is no part of the service.

mod page;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::random_text;
use crate::clock::SharedClock;

/// Who Countersign is there.
pub(super) const CLIENT_ID: &str = "countersign-demo";
/// The authentication context that the demo's configuration asks for.
pub(super) const STRONG: &str = "urn:demo:security-key";
/// What a password alone is called.
const WEAK: &str = "urn:demo:password";
/// How long somebody may take to sign in, and a code may wait.
const LASTS: Duration = Duration::from_secs(600);
/// How many sign-ins are under way at most; the oldest go first.
const UNDER_WAY_MAX: usize = 100;
/// How long an ID token is good, in seconds.
const TOKEN_SECONDS: i64 = 300;

/// The provider. Cheap to clone.
#[derive(Clone)]
pub(super) struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    client_secret: SecretString,
    redirect_uri: String,
    key: EcdsaKeyPair,
    clock: SharedClock,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    asked: HashMap<String, (Instant, Asked)>,
    codes: HashMap<String, (Instant, SignedIn)>,
}

/// What the browser was sent with (OpenID Connect Core 1.0, section 3.1.2.1).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    acr_values: String,
    login_hint: String,
}

/// Somebody signed in, and a code waits to be redeemed.
struct SignedIn {
    email: String,
    context: Context,
    at: i64,
    asked: Asked,
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Context {
    SecurityKey,
    Password,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    ticket: String,
    #[serde(default)]
    email: String,
    context: Context,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Redeem {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    client_id: String,
    client_secret: String,
}

/// Whoever can sign in there: the members of the demo's workspace.
const PEOPLE: [(&str, &str); 3] =
    [("bob@example.com", "Bob Berger"), ("carol@example.com", "Carol Chen"), ("alice@example.com", "Alice Adler")];

impl Provider {
    /// With a fresh key.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn new(
        issuer: String,
        redirect_uri: String,
        client_secret: SecretString,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| anyhow::anyhow!("no key can be made"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
            .map_err(|_| anyhow::anyhow!("no key can be made"))?;
        let under_way = Mutex::default();
        Ok(Self(Arc::new(Inner { issuer, client_secret, redirect_uri, key, clock, under_way })))
    }

    /// Its pages and its endpoints.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/sign-in", post(sign_in))
            .route("/token", post(token))
            .with_state(self.clone())
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the browser goes back to, as an origin: what a form of ours may lead to.
    fn back(&self) -> String {
        Url::parse(&self.0.redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    /// An ID token (OpenID Connect Core 1.0, section 2).
    fn id_token(&self, who: &SignedIn) -> anyhow::Result<String> {
        let now = self.0.clock.now().timestamp();
        let (acr, amr) = match who.context {
            Context::SecurityKey => (STRONG, json!(["hwk", "user"])),
            Context::Password => (WEAK, json!(["pwd"])),
        };
        let name = PEOPLE.iter().find(|(email, _)| *email == who.email).map(|(_, name)| *name);
        let claims = json!({
            "iss": self.0.issuer, "sub": format!("demo|{}", who.email), "aud": CLIENT_ID, "iat": now,
            "exp": now + TOKEN_SECONDS, "auth_time": who.at, "nonce": who.asked.nonce, "acr": acr, "amr": amr,
            "email": who.email, "email_verified": true, "name": name,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({ "alg": "ES256", "typ": "JWT", "kid": self.key_id() });
        let signed = format!("{}.{}", part(&head), part(&claims));
        let signature = self
            .0
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| anyhow::anyhow!("the token cannot be signed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    fn key_id(&self) -> String {
        let digest = Sha256::digest(self.0.key.public_key().as_ref());
        URL_SAFE_NO_PAD.encode(&digest[..9])
    }

    /// Whether a call to the token endpoint comes from the client: by the header or in the form.
    fn is_the_client(&self, headers: &HeaderMap, form: &Redeem) -> bool {
        let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let basic = basic.and_then(|value| value.strip_prefix("Basic "));
        let basic = basic.and_then(|value| STANDARD.decode(value).ok());
        let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
        let (id, secret) = match basic.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) => (decoded(id), decoded(secret)),
            None => (form.client_id.clone(), form.client_secret.clone()),
        };
        let same = |a: &str, b: &str| Sha256::digest(a.as_bytes()) == Sha256::digest(b.as_bytes());
        same(&id, CLIENT_ID) && same(&secret, self.0.client_secret.expose_secret())
    }

    fn redeemed(&self, form: &Redeem) -> Option<SignedIn> {
        let (at, who) = self.under_way().codes.remove(&form.code)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.code_verifier.as_bytes()));
        let counts = at.elapsed() < LASTS
            && form.grant_type == "authorization_code"
            && form.redirect_uri == who.asked.redirect_uri
            && challenge == who.asked.code_challenge;
        counts.then_some(who)
    }
}

/// One part of the pair in a `Basic` header is form-encoded (RFC 6749, section 2.3.1).
fn decoded(part: &str) -> String {
    url::form_urlencoded::parse(format!("v={part}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Keeps the map small.
fn keep<T>(all: &mut HashMap<String, (Instant, T)>, key: String, value: T) {
    all.retain(|_, (at, _)| at.elapsed() < LASTS);
    if all.len() >= UNDER_WAY_MAX
        && let Some(oldest) = all.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
    {
        all.remove(&oldest);
    }
    all.insert(key, (Instant::now(), value));
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.0.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"], "scopes_supported": ["openid", "email"],
        "code_challenge_methods_supported": ["S256"], "acr_values_supported": [STRONG, WEAK],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(State(provider): State<Provider>) -> Json<Value> {
    // An uncompressed point: 4, x, y.
    let public = provider.0.key.public_key().as_ref();
    let (x, y) = public.get(1..).unwrap_or_default().split_at(32.min(public.len().saturating_sub(1)));
    Json(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": provider.key_id(),
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }] }))
}

/// Shows who can sign in. Only the demo's own service is served.
async fn authorize(State(provider): State<Provider>, Query(asked): Query<Asked>) -> Response {
    let fits = asked.client_id == CLIENT_ID
        && asked.redirect_uri == provider.0.redirect_uri
        && asked.response_type == "code"
        && asked.scope.split(' ').any(|scope| scope == "openid")
        && asked.code_challenge_method == "S256"
        && !asked.code_challenge.is_empty();
    if !fits {
        return page::refusal("This address is not one that the demo's service sends people to.");
    }
    let Ok(ticket) = random_text() else { return page::refusal("This machine has no random numbers.") };
    let shown = page::sign_in(&ticket, &asked.login_hint, &PEOPLE, &provider.back());
    keep(&mut provider.under_way().asked, ticket, asked);
    shown
}

/// Somebody said who they are: back to the service with a code.
async fn sign_in(State(provider): State<Provider>, Form(choice): Form<Choice>) -> Response {
    let known = PEOPLE.iter().any(|(email, _)| *email == choice.email);
    let asked = provider.under_way().asked.remove(&choice.ticket).filter(|(at, _)| at.elapsed() < LASTS);
    let (Some((_, asked)), true) = (asked, known) else {
        return page::refusal("This page is used up. Press the button in Slack again.");
    };
    let (Ok(code), Ok(mut back)) = (random_text(), Url::parse(&asked.redirect_uri)) else {
        return page::refusal("This machine has no random numbers.");
    };
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked.state)
        .append_pair("iss", &provider.0.issuer);
    let at = provider.0.clock.now().timestamp();
    let who = SignedIn { email: choice.email, context: choice.context, at, asked };
    keep(&mut provider.under_way().codes, code, who);
    Redirect::to(back.as_str()).into_response()
}

/// The service redeems a code, once.
async fn token(State(provider): State<Provider>, headers: HeaderMap, Form(form): Form<Redeem>) -> Response {
    let refuse = |status, error: &str| (status, Json(json!({ "error": error }))).into_response();
    if !provider.is_the_client(&headers, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let Some(who) = provider.redeemed(&form) else { return refuse(StatusCode::BAD_REQUEST, "invalid_grant") };
    let answer = || -> anyhow::Result<Value> {
        let access_token = random_text().context("no access token")?;
        Ok(json!({
            "access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS,
            "id_token": provider.id_token(&who)?,
        }))
    };
    match answer() {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}
