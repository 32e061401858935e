//! Canonical JSON (RFC 8785) and SHA-256: what fingerprints, audit entries and bindings are made of.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The RFC 8785 canonical form of a value. Equal values have equal forms, whatever the order of their members.
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    // The canonicalizer refuses only what JSON cannot say (a NaN, a map with keys that are no text); our
    // types hold neither. Serde's plain form keeps this function total all the same.
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| serde_json::json!(value).to_string())
}

/// The canonical form of JSON that came from outside, such that different values always have different forms.
///
/// RFC 8785 writes every number as a double, so whole numbers beyond 2^53 would fall together: where there is
/// one, the plain form (which has it in full, and no line break) follows on a line of its own.
pub fn exact_json(value: &Value) -> String {
    let mut form = canonical_json(value);
    if has_large_integer(value) {
        form.push('\n');
        form.push_str(&value.to_string());
    }
    form
}

fn has_large_integer(value: &Value) -> bool {
    const LARGEST: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs)).is_some_and(|n| n > LARGEST)
        }
        Value::Array(items) => items.iter().any(has_large_integer),
        Value::Object(members) => members.values().any(has_large_integer),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// SHA-256 in lower-case hexadecimal, 64 digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digest = Sha256::digest(bytes);
    digest.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}
