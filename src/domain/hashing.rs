//! Canonical JSON (RFC 8785) and SHA-256: what fingerprints, audit entries and bindings are made of.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The RFC 8785 canonical form of a value. Equal values have equal forms, whatever the order of their members.
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    // The canonicalizer refuses only what JSON cannot say (a NaN, a map with keys that are no text); our
    // types hold neither. Serde's plain form keeps this function total all the same.
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| serde_json::json!(value).to_string())
}

/// SHA-256 in lower-case hexadecimal, 64 digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digest = Sha256::digest(bytes);
    digest.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}
