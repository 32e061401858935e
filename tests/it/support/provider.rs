//! A stand-in for an OpenID provider, over HTTP: metadata, keys, and a token endpoint that answers what the story
//! wants. People "sign in" by the story reading where the browser was sent.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::http::serve::serve;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

pub const CLIENT_ID: &str = "countersign";
pub const CLIENT_SECRET: &str = "CANARY-step-up-secret-0123456789";
pub const STRONG: &str = "urn:example:strong";

/// What the next ID token says and how it is signed.
#[derive(Debug, Clone)]
pub struct Next {
    pub claims: Value,
    pub signed: Signed,
}

/// By whom an ID token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    Provider,
    AnotherKey,
    Nobody,
    ClientSecret,
}

struct Shared {
    issuer: String,
    keys: [Key; 2],
    next: Mutex<Option<Next>>,
    challenge: Mutex<Option<String>>,
}

struct Key {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl Key {
    fn fresh() -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
        let pkcs8 = document.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).expect("a key");
        Self { public: pair.public_key().as_ref().to_vec(), pkcs8 }
    }
}

/// The stand-in.
pub struct Provider {
    shared: Arc<Shared>,
    _stops: watch::Sender<bool>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let (stops, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            issuer,
            keys: [Key::fresh(), Key::fresh()],
            next: Mutex::new(None),
            challenge: Mutex::new(None),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(serve(listener, router, stopped, std::time::Duration::ZERO));
        Self { shared, _stops: stops }
    }

    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The part of a deployment's configuration that names it.
    pub fn config(&self) -> String {
        format!(
            "[step_up]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret = {{ env = \"STEP_UP_SECRET\" }}\nacr_values = [\"{STRONG}\"]\n",
            self.issuer()
        )
    }

    /// Somebody signs in at the page that the browser was sent to. Answers the claims of an honest ID token; the
    /// story may change them before it calls [`Provider::answers`].
    pub fn signs_in(&self, page: &str, email: &str, at: i64) -> Value {
        let asked = Asked::of(page);
        assert_eq!(asked.get("client_id"), CLIENT_ID);
        assert_eq!((asked.get("max_age").as_str(), asked.get("prompt").as_str()), ("0", "login"));
        assert_eq!(
            (asked.get("code_challenge_method").as_str(), asked.get("response_type").as_str()),
            ("S256", "code")
        );
        assert_eq!(asked.get("acr_values"), STRONG);
        *self.shared.challenge.lock().expect("no panic") = Some(asked.get("code_challenge"));
        json!({
            "iss": self.issuer(), "sub": format!("sub-{email}"), "aud": CLIENT_ID, "exp": at + 300, "iat": at,
            "auth_time": at, "nonce": asked.get("nonce"), "acr": STRONG, "amr": ["hwk", "user"],
            "email": email, "email_verified": true,
        })
    }

    /// What the token endpoint answers next.
    pub fn answers(&self, claims: Value, signed: Signed) {
        *self.shared.next.lock().expect("no panic") = Some(Next { claims, signed });
    }
}

/// What the browser was sent away with.
pub struct Asked(Url);

impl Asked {
    pub fn of(page: &str) -> Self {
        Self(Url::parse(page).expect("an address"))
    }

    pub fn get(&self, name: &str) -> String {
        self.0.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint": format!("{issuer}/token"), "response_types_supported": ["code"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    }))
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let public = &shared.keys[0].public;
    let (x, y) = (URL_SAFE_NO_PAD.encode(&public[1..33]), URL_SAFE_NO_PAD.encode(&public[33..65]));
    Json(
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one", "x": x, "y": y }] }),
    )
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Form(form): Form<std::collections::HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let expected = shared.challenge.lock().expect("no panic").take();
    let next = shared.next.lock().expect("no panic").take();
    let (Some(next), true) = (next, expected.as_deref() == Some(challenge.as_str())) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    };
    let id_token = sign(&shared, &next);
    let answer = json!({ "access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": id_token });
    (StatusCode::OK, Json(answer))
}

fn sign(shared: &Shared, next: &Next) -> String {
    let header = |alg| Header { kid: Some("one".to_owned()), ..Header::new(alg) };
    let key = |key: &Key| EncodingKey::from_ec_der(&key.pkcs8);
    let signed = |alg, key: &EncodingKey| jsonwebtoken::encode(&header(alg), &next.claims, key).expect("a token");
    match next.signed {
        Signed::Provider => signed(Algorithm::ES256, &key(&shared.keys[0])),
        Signed::AnotherKey => signed(Algorithm::ES256, &key(&shared.keys[1])),
        Signed::ClientSecret => signed(Algorithm::HS256, &EncodingKey::from_secret(CLIENT_SECRET.as_bytes())),
        Signed::Nobody => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&next.claims))
        }
    }
}
