//! Receipts: a signed statement of what was granted, which anybody can check with `/.well-known/jwks.json`.
//!
//! The Ed25519 key is made at the first start and kept in a file beside the store that only the service can read.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::hashing::{canonical_json, sha256_hex};

/// Signs receipts.
pub struct Receipts {
    key: Ed25519KeyPair,
    key_id: String,
    header: String,
}

/// What a receipt says. Times are seconds since 1970 (RFC 7519).
#[derive(Debug, Serialize)]
pub struct Receipt<'a> {
    /// Who says it: this service's public address.
    pub iss: &'a str,
    /// When.
    pub iat: i64,
    /// When the token runs out.
    pub exp: i64,
    /// For whom the token speaks.
    pub sub: &'a str,
    /// Through which client.
    pub client_id: &'a str,
    /// At which audiences.
    pub aud: Vec<&'a str>,
    /// For which scopes.
    pub scope: String,
    /// Through which hook.
    pub hook: &'a str,
    /// Under which grant.
    pub grant_id: &'a str,
    /// After which access request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// When the grant ends.
    pub grant_exp: i64,
}

impl Receipts {
    /// Reads the key file, or makes it.
    ///
    /// # Errors
    /// When the file cannot be read or made, holds no key, or can be read by others.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let pkcs8 = match std::fs::read(path) {
            Ok(bytes) => {
                let mode = std::fs::metadata(path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    bail!("{} can be read by others (mode {:o}); it must be 0600", path.display(), mode & 0o777);
                }
                bytes
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let key = Ed25519KeyPair::from_pkcs8(&pkcs8)
            .map_err(|_| anyhow::anyhow!("{} does not hold an Ed25519 key", path.display()))?;
        let key_id = sha256_hex(canonical_json(&public(&key)).as_bytes())[..16].to_owned();
        let header = json!({ "alg": "EdDSA", "kid": key_id, "typ": "countersign-receipt+jwt" }).to_string();
        let header = URL_SAFE_NO_PAD.encode(header);
        Ok(Self { key, key_id, header })
    }

    /// The receipt as a compact JWS (RFC 7515).
    pub fn sign(&self, receipt: &Receipt<'_>) -> String {
        let payload = URL_SAFE_NO_PAD.encode(canonical_json(receipt));
        let mut jws = format!("{}.{payload}", self.header);
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(jws.as_bytes()).as_ref());
        jws.push('.');
        jws.push_str(&signature);
        jws
    }

    /// The public key as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> Value {
        let mut key = public(&self.key);
        key["kid"] = json!(self.key_id);
        key["use"] = json!("sig");
        key["alg"] = json!("EdDSA");
        json!({ "keys": [key] })
    }
}

/// The members of RFC 7638's thumbprint.
fn public(key: &Ed25519KeyPair) -> Value {
    json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(key.public_key()) })
}

fn make(path: &Path) -> anyhow::Result<Vec<u8>> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    // Filled under another name first: a kill in between must not leave half a key, which no start could use.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    fill(&unfinished, pkcs8.as_ref()).with_context(|| format!("{} cannot be made", unfinished.display()))?;
    std::fs::rename(&unfinished, path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(pkcs8.as_ref().to_vec())
}

fn fill(path: &Path, key: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    #[test]
    fn a_receipt_verifies_with_the_published_key_and_the_key_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts.key");
        let receipt = Receipt {
            iss: "https://countersign.example",
            iat: 1_795_460_000,
            exp: 4_000_000_000,
            sub: "alice@example.com",
            client_id: "billing-cli",
            aud: vec!["https://payments.example.com"],
            scope: "payments:refund".to_owned(),
            hook: "billing",
            grant_id: "grn_x",
            request_id: None,
            grant_exp: 4_000_000_000,
        };
        let jws = Receipts::open(&path).unwrap().sign(&receipt);
        let keys: JwkSet = serde_json::from_value(Receipts::open(&path).unwrap().jwks()).unwrap();
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&["https://payments.example.com"]);
        let key = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
        let read = jsonwebtoken::decode::<Value>(&jws, &key, &rules).unwrap();
        assert_eq!(read.claims["scope"], "payments:refund");
        let mut forged = jws.into_bytes();
        let last = forged.len() - 10;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        assert!(jsonwebtoken::decode::<Value>(String::from_utf8(forged).unwrap(), &key, &rules).is_err());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts.key");
        Receipts::open(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Receipts::open(&path).is_err());
    }
}
