//! Who may knock: the three ways in which a hook proves that it is the authorization server.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use thiserror::Error;

use crate::domain::hashing::sha256_hex;

/// The most characters of a `webhook-id`.
pub const WEBHOOK_ID_MAX: usize = 128;
/// The fewest bytes of a signing key; 16 bytes are 128 bits.
const SIGNING_KEY_MIN: usize = 16;
/// The most digits of a `webhook-timestamp`. The crate would overflow on nineteen.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// How a hook's calls are authenticated. Several secrets are in force while one replaces another.
#[derive(Debug, Clone)]
pub enum HookAuth {
    /// Standard Webhooks signatures, `v1` (HMAC-SHA256): keys in base64, usually behind `whsec_`.
    Webhook(Vec<SecretString>),
    /// `Authorization: Bearer`.
    Bearer(Vec<SecretString>),
    /// A header of the server's choice that holds a secret.
    ApiKey {
        /// Its name.
        header: HeaderName,
        /// What it may hold.
        values: Vec<SecretString>,
    },
}

/// Why no call could ever be authenticated, or anybody's could: a mistake to be found at start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnusableAuth {
    /// No secret at all.
    #[error("no secret is given")]
    None,
    /// A secret that is empty.
    #[error("a secret is empty")]
    Empty,
    /// A signing key that is not base64.
    #[error("a signing key is not base64 (`whsec_` and base64 are expected)")]
    NotBase64,
    /// A signing key that could be guessed.
    #[error("a signing key has fewer than {SIGNING_KEY_MIN} bytes; Standard Webhooks recommends 24 to 64")]
    TooShort,
}

impl HookAuth {
    /// Whether these secrets can protect a hook.
    ///
    /// # Errors
    /// [`UnusableAuth`], which never holds a secret.
    pub fn check(&self) -> Result<(), UnusableAuth> {
        let secrets = self.secrets();
        if secrets.is_empty() {
            return Err(UnusableAuth::None);
        }
        for secret in secrets {
            if secret.expose_secret().is_empty() {
                return Err(UnusableAuth::Empty);
            }
            if let Self::Webhook(_) = self {
                signing_key(secret)?;
            }
        }
        Ok(())
    }

    fn secrets(&self) -> &[SecretString] {
        match self {
            Self::Webhook(secrets) | Self::Bearer(secrets) | Self::ApiKey { values: secrets, .. } => secrets,
        }
    }
}

/// The bytes of a call that was authenticated. Made by [`authenticate`] and by nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    body: Bytes,
    webhook_id: Option<String>,
}

impl Verified {
    /// The body, exactly as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The `webhook-id`: the same one is the same call.
    pub fn webhook_id(&self) -> Option<&str> {
        self.webhook_id.as_deref()
    }

    /// SHA-256 of the body in hexadecimal: what tells a repeated call from another one with the same id.
    pub fn body_hash(&self) -> String {
        sha256_hex(&self.body)
    }
}

/// A body may hold an assertion, so it is not printed.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} bytes, webhook-id {:?})", self.body.len(), self.webhook_id)
    }
}

/// Checks a call. Whatever is wrong with it, the answer is the same `None`.
///
/// A header that decides anything must be there once: a second one could be what somebody in between has read.
/// A `webhook-id` of more than [`WEBHOOK_ID_MAX`] characters, or with others than visible ASCII, refuses the call
/// whichever way it is authenticated, because ignoring it would let a repetition count twice.
pub fn authenticate(auth: &HookAuth, headers: &HeaderMap, body: &Bytes) -> Option<Verified> {
    let webhook_id = match headers.contains_key(HEADER_WEBHOOK_ID) {
        true => Some(webhook_id(headers)?),
        false => None,
    };
    let known = match auth {
        HookAuth::Webhook(secrets) => webhook_id.is_some() && signed_by_one_of(secrets, headers, body),
        HookAuth::Bearer(secrets) => equals_one_of(secrets, bearer(headers)?),
        HookAuth::ApiKey { header, values } => equals_one_of(values, only(headers, header.as_str())?),
    };
    known.then(|| Verified { body: body.clone(), webhook_id })
}

fn signed_by_one_of(secrets: &[SecretString], headers: &HeaderMap, body: &[u8]) -> bool {
    let timestamp = only(headers, HEADER_WEBHOOK_TIMESTAMP);
    let sound = timestamp.is_some_and(|t| t.len() <= TIMESTAMP_DIGITS_MAX && t.bytes().all(|b| b.is_ascii_digit()));
    if !sound || only(headers, HEADER_WEBHOOK_SIGNATURE).is_none() {
        return false;
    }
    // Every secret is tried, so that the time says nothing about which of them fits.
    secrets.iter().fold(false, |known, secret| {
        let fits = signing_key(secret).is_ok_and(|key| key.verify(body, headers).is_ok());
        known | fits
    })
}

fn signing_key(secret: &SecretString) -> Result<Webhook, UnusableAuth> {
    use base64::Engine;
    let text = secret.expose_secret();
    let key = base64::engine::general_purpose::STANDARD
        .decode(text.strip_prefix("whsec_").unwrap_or(text))
        .map_err(|_| UnusableAuth::NotBase64)?;
    if key.len() < SIGNING_KEY_MIN {
        return Err(UnusableAuth::TooShort);
    }
    Webhook::from_bytes(key).map_err(|_| UnusableAuth::NotBase64)
}

fn equals_one_of(secrets: &[SecretString], found: &str) -> bool {
    // Digests have one length, so that the comparison takes the same time whatever was sent.
    let found = digest::digest(&digest::SHA256, found.as_bytes());
    secrets.iter().fold(false, |known, secret| {
        let wanted = digest::digest(&digest::SHA256, secret.expose_secret().as_bytes());
        let fits = constant_time::verify_slices_are_equal(found.as_ref(), wanted.as_ref()).is_ok();
        known | (fits && !secret.expose_secret().is_empty())
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn webhook_id(headers: &HeaderMap) -> Option<String> {
    let id = only(headers, HEADER_WEBHOOK_ID)?;
    let sound = (1..=WEBHOOK_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    sound.then(|| id.to_owned())
}

/// The value of a header that is there exactly once, in visible ASCII.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests;
