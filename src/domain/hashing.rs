//! Canonical JSON (RFC 8785) and SHA-256: what fingerprints, audit entries and bindings are made of.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The largest whole number that every JSON reader keeps exactly (RFC 8785, 3.2.2.3).
const EXACT_MAX: u64 = 1 << 53;

/// The RFC 8785 canonical form of a value. Equal values have equal forms, whatever the order of their members.
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(value) => canonical_value(&value),
        Err(_) => canonical_form(value),
    }
}

/// The same of what is JSON already.
pub fn canonical_value(value: &Value) -> String {
    // Nearly all values are plain, and of those serde's own form is the canonical one, at less cost. The serializer
    // writes it; `Display` would take twice as long.
    if is_plain(value)
        && let Ok(plain) = serde_json::to_string(value)
    {
        return plain;
    }
    canonical_form(value)
}

/// Whether the order of members (serde's is by bytes, the canonical one by UTF-16) and the form of numbers cannot
/// differ.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs)).is_some_and(|n| n <= EXACT_MAX)
        }
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(members) => members.iter().all(|(name, value)| name.is_ascii() && is_plain(value)),
    }
}

fn canonical_form<T: Serialize>(value: &T) -> String {
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
    match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs)).is_some_and(|n| n > EXACT_MAX)
        }
        Value::Array(items) => items.iter().any(has_large_integer),
        Value::Object(members) => members.values().any(has_large_integer),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// SHA-256 in lower-case hexadecimal, 64 digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner.clone(), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                prop::collection::btree_map("[ -~]{0,4}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_the_long_way_says(value in json()) {
            prop_assert_eq!(canonical_json(&value), canonical_form(&value));
        }
    }

    #[test]
    fn members_are_ordered_as_the_standard_orders_them_and_not_as_bytes_are() {
        // U+FB33 comes before U+1F600 in bytes, and after it in UTF-16 (RFC 8785, 3.2.3).
        let value = serde_json::json!({ "\u{fb33}": 1, "\u{1f600}": 2, "b": 3, "a": 4.0 });
        assert_eq!(canonical_json(&value), "{\"a\":4,\"b\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}");
    }
}
