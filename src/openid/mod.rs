//! The OpenID provider at which an approver authenticates anew (OpenID Connect Core 1.0, section 3.1): the only
//! place that talks to it.
//!
//! The metadata and the keys are fetched for each authentication: there are few, and a key that was withdrawn must
//! not count. No error that leaves this file carries a token, a code or an address.

mod client;

use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthenticationContextClass, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, LoginHint, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse as _,
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use crate::clock::Timestamp;
use crate::domain::access_request::StepUp;

/// How far the provider's clock may be from ours, in seconds.
const LEEWAY_SECONDS: i64 = 10;
/// What an ID token may be signed with: keys that only the provider has. Neither `none` nor a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// How the provider is reached, and what counts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its issuer identifier.
    pub issuer: Url,
    /// Who we are there.
    pub client_id: String,
    /// What proves that; a public client has none and relies on PKCE.
    pub client_secret: Option<SecretString>,
    /// The authentication contexts (`acr`) that are asked for and accepted; empty accepts any.
    pub acr_values: Vec<String>,
    /// The claim that names the person in the directory.
    pub claim: Claim,
    /// Where the provider sends people back to.
    pub redirect_uri: Url,
}

/// The claim that names the person in the directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Claim {
    /// `email`, which the provider must call verified.
    #[default]
    Email,
    /// `sub`.
    Subject,
    /// `preferred_username`.
    PreferredUsername,
}

/// The provider.
#[derive(Clone)]
pub struct Provider {
    settings: Settings,
    http: reqwest::Client,
}

/// An authentication that was begun: where to send the person, and what must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The provider's page.
    pub url: Url,
    /// `state`, which comes back in the address.
    pub state: String,
    /// `nonce`, which comes back in the ID token.
    pub nonce: String,
    /// The verifier of PKCE (RFC 7636), which only we know.
    pub verifier: String,
}

/// Who authenticated, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The person, by the configured claim.
    pub who: String,
    /// How.
    pub step_up: StepUp,
}

/// Why an authentication does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotProven {
    /// The provider could not be asked.
    #[error("the OpenID provider does not answer")]
    Unreachable,
    /// The provider did not take the code.
    #[error("the OpenID provider refused the code")]
    CodeRefused,
    /// There is no ID token.
    #[error("the OpenID provider sent no ID token")]
    NoToken,
    /// The ID token is not what it must be: signature, issuer, audience, time, nonce.
    #[error("the ID token is not valid: {0}")]
    Invalid(&'static str),
    /// The person authenticated earlier.
    #[error("the authentication is not fresh")]
    Stale,
    /// The person authenticated more weakly than was asked for.
    #[error("the authentication is not strong enough")]
    Weak,
    /// The token does not name the person.
    #[error("the ID token does not name a verified person")]
    Nameless,
}

impl Provider {
    /// Prepares the client; nothing is called yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        Ok(Self { settings, http: client::new()? })
    }

    /// Begins an authentication: fresh (`max_age=0`), by a person who is asked again.
    ///
    /// # Errors
    /// [`NotProven::Unreachable`].
    pub async fn begin(&self, hint: &str) -> Result<Begun, NotProven> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut asking = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .set_max_age(std::time::Duration::ZERO)
            .add_prompt(CoreAuthPrompt::Login)
            .set_login_hint(LoginHint::new(hint.to_owned()));
        for acr in &self.settings.acr_values {
            asking = asking.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
        }
        match self.settings.claim {
            Claim::Email => asking = asking.add_scope(Scope::new("email".to_owned())),
            Claim::PreferredUsername => asking = asking.add_scope(Scope::new("profile".to_owned())),
            Claim::Subject => {}
        }
        let (url, state, nonce) = asking.url();
        Ok(Begun { url, state: state.into_secret(), nonce: nonce.secret().clone(), verifier: verifier.into_secret() })
    }

    /// Redeems the code and checks what came for it. `begun_at` is when the person was sent away.
    ///
    /// # Errors
    /// [`NotProven`]; nothing counts then.
    pub async fn finish(
        &self,
        code: &str,
        nonce: &str,
        verifier: &str,
        begun_at: Timestamp,
        now: Timestamp,
    ) -> Result<Proven, NotProven> {
        let client = self.client().await?;
        let http = |request| client::call(self.http.clone(), request);
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| NotProven::Unreachable)?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&http)
            .await
            .map_err(|error| match error {
                openidconnect::RequestTokenError::ServerResponse(_) => NotProven::CodeRefused,
                openidconnect::RequestTokenError::Request(_) => NotProven::Unreachable,
                openidconnect::RequestTokenError::Parse(..) | openidconnect::RequestTokenError::Other(_) => {
                    NotProven::Invalid("the answer cannot be read")
                }
            })?;
        let token = answer.id_token().ok_or(NotProven::NoToken)?;
        let verifying = verifier_of(&client, now);
        let claims = token.claims(&verifying, &Nonce::new(nonce.to_owned())).map_err(|error| invalid(&error))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|_| NotProven::Invalid("algorithm"))?;
            let key = token.signing_key(&verifying).map_err(|_| NotProven::Invalid("signature"))?;
            let actual = openidconnect::AccessTokenHash::from_token(answer.access_token(), algorithm, key)
                .map_err(|_| NotProven::Invalid("access token hash"))?;
            if actual != *expected {
                return Err(NotProven::Invalid("access token hash"));
            }
        }
        self.judge(claims, begun_at, now)
    }

    /// What the library leaves to us: `azp`, `auth_time`, `acr`, and who it is.
    fn judge(&self, claims: &CoreIdTokenClaims, begun_at: Timestamp, now: Timestamp) -> Result<Proven, NotProven> {
        let settings = &self.settings;
        if claims.authorized_party().is_some_and(|party| party.as_str() != settings.client_id) {
            return Err(NotProven::Invalid("authorized party"));
        }
        let leeway = chrono::Duration::seconds(LEEWAY_SECONDS);
        let auth_time = claims.auth_time().ok_or(NotProven::Stale)?;
        if auth_time < begun_at - leeway || auth_time > now + leeway {
            return Err(NotProven::Stale);
        }
        let acr = claims.auth_context_ref().map(|acr| acr.as_str().to_owned());
        let strong =
            settings.acr_values.is_empty() || acr.as_ref().is_some_and(|acr| settings.acr_values.contains(acr));
        if !strong {
            return Err(NotProven::Weak);
        }
        let who = match settings.claim {
            Claim::Email if claims.email_verified() == Some(true) => claims.email().map(|email| email.to_string()),
            Claim::Email => None,
            Claim::Subject => Some(claims.subject().to_string()),
            Claim::PreferredUsername => claims.preferred_username().map(|name| name.to_string()),
        };
        let who = who.filter(|who| !who.trim().is_empty()).ok_or(NotProven::Nameless)?;
        let amr = claims.auth_method_refs().into_iter().flatten().map(|method| method.as_str().to_owned()).collect();
        let (issuer, subject) = (claims.issuer().to_string(), claims.subject().to_string());
        Ok(Proven { who, step_up: StepUp { issuer, subject, acr, amr, auth_time } })
    }

    /// The issuer identifier, as the provider writes it.
    pub fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    async fn client(&self) -> Result<Client, NotProven> {
        let settings = &self.settings;
        // An issuer without a path is written with or without a slash; the document must say the same.
        let bare = settings.issuer.as_str().trim_end_matches('/').to_owned();
        let http = |request| client::call(self.http.clone(), request);
        let mut found = None;
        for issuer in [bare.clone(), format!("{bare}/")] {
            let issuer = IssuerUrl::new(issuer).map_err(|_| NotProven::Unreachable)?;
            if let Ok(metadata) = CoreProviderMetadata::discover_async(issuer, &http).await {
                found = Some(metadata);
                break;
            }
        }
        let metadata = found.ok_or(NotProven::Unreachable)?;
        let secret = settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let redirect = RedirectUrl::from_url(settings.redirect_uri.clone());
        Ok(CoreClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret)
            .set_redirect_uri(redirect))
    }
}

fn verifier_of(client: &Client, now: Timestamp) -> CoreIdTokenVerifier<'_> {
    client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(move || now)
}

fn invalid(error: &openidconnect::ClaimsVerificationError) -> NotProven {
    use openidconnect::ClaimsVerificationError as Why;
    NotProven::Invalid(match error {
        Why::Expired(_) => "time",
        Why::InvalidAudience(_) => "audience",
        Why::InvalidIssuer(_) => "issuer",
        Why::InvalidNonce(_) => "nonce",
        Why::SignatureVerification(_) => "signature",
        Why::InvalidAuthContext(_) | Why::InvalidAuthTime(_) | Why::InvalidSubject(_) | Why::Other(_) => "claims",
        Why::Unsupported(_) => "form",
        _ => "unknown",
    })
}
