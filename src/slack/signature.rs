//! Whether Slack sent it: `v0=` and an HMAC-SHA256 over `v0:{timestamp}:{raw body}`
//! (docs.slack.dev, "Verifying requests from Slack").
//!
//! The body is looked at by nobody before this has said yes. The age is checked only after the signature, so
//! that an unsigned call learns nothing from our clock. Inside the five minutes a call verifies again: that a
//! repetition changes nothing is the store's business.

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::clock::Timestamp;

/// How far a call's time may be from ours, in seconds, both ways and inclusive.
const AGE_MAX: u64 = 300;

/// Why a call is not Slack's. All of them get one and the same answer; the difference is for a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unsigned {
    /// A header is missing.
    #[error("a signature header is missing")]
    Missing,
    /// A header stands there twice, or has not the one form that Slack gives it.
    #[error("a signature header is malformed")]
    Malformed,
    /// No configured secret made this signature.
    #[error("the signature is wrong")]
    Wrong,
    /// Slack signed it, more than five minutes away from our clock.
    #[error("the signature is too old, or from the future")]
    Stale,
}

impl Unsigned {
    /// A word for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Wrong => "wrong",
            Self::Stale => "stale",
        }
    }
}

/// Which of several holders of secrets signed these bytes within five minutes of `now`; at least one.
///
/// Each holder's several secrets are for the time of a rotation. An empty secret signs nothing. Holders that share a
/// secret cannot be told apart by it.
///
/// # Errors
/// [`Unsigned`].
pub fn signers<'s, K>(
    holders: impl IntoIterator<Item = (K, &'s [SecretString])>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<K>, Unsigned> {
    let timestamp = only(headers, "x-slack-request-timestamp")?;
    let signature = only(headers, "x-slack-signature")?;
    let sent_at = seconds(timestamp).ok_or(Unsigned::Malformed)?;
    let tag = signature.strip_prefix("v0=").and_then(from_hex).ok_or(Unsigned::Malformed)?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    let made_by = |secret: &SecretString| {
        let secret = secret.expose_secret().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        !secret.is_empty() && hmac::verify(&key, &signed, &tag).is_ok()
    };
    let signers: Vec<K> =
        holders.into_iter().filter(|(_, secrets)| secrets.iter().any(made_by)).map(|(holder, _)| holder).collect();
    if signers.is_empty() {
        return Err(Unsigned::Wrong);
    }
    if now.timestamp().abs_diff(sent_at) > AGE_MAX { Err(Unsigned::Stale) } else { Ok(signers) }
}

/// Whether the holder of one of `secrets` signed these bytes within five minutes of `now`.
///
/// # Errors
/// [`Unsigned`].
pub fn verify(secrets: &[SecretString], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Unsigned> {
    signers([((), secrets)], headers, body, now).map(|_| ())
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Unsigned> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Unsigned::Missing)?;
    match values.next() {
        None => value.to_str().map_err(|_| Unsigned::Malformed),
        Some(_) => Err(Unsigned::Malformed),
    }
}

/// Digits and nothing else, without leading zeros.
fn seconds(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if digits { text.parse().ok() } else { None }
}

/// Exactly 64 lower-case hexadecimal digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut tag = [0; 32];
    for (at, pair) in tag.iter_mut().zip(bytes.chunks_exact(2)) {
        *at = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(tag)
}

/// Signs as Slack does; for the playground's stand-in and the tests.
pub fn sign(secret: &SecretString, timestamp: i64, body: &[u8]) -> String {
    use std::fmt::Write;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let signed = [b"v0:", timestamp.to_string().as_bytes(), b":", body].concat();
    hmac::sign(&key, &signed).as_ref().iter().fold("v0=".to_owned(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use chrono::DateTime;

    // The example that Slack publishes with the algorithm.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: i64 = 1_531_420_618;
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=\
        https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=\
        398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn secrets(all: &[&str]) -> Vec<SecretString> {
        all.iter().map(|s| SecretString::from(*s)).collect()
    }

    fn headers(all: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn check(timestamp: &[u8], signature: &[u8], body: &[u8], now: i64) -> Result<(), Unsigned> {
        let headers = headers(&[("x-slack-request-timestamp", timestamp), ("x-slack-signature", signature)]);
        verify(&secrets(&[SECRET]), &headers, body, at(now))
    }

    #[test]
    fn the_example_that_slack_publishes_verifies_at_its_time_and_not_today() {
        assert_eq!(check(AT.to_string().as_bytes(), SIGNATURE.as_bytes(), BODY.as_bytes(), AT), Ok(()));
        assert_eq!(
            check(AT.to_string().as_bytes(), SIGNATURE.as_bytes(), BODY.as_bytes(), 1_795_460_000),
            Err(Unsigned::Stale)
        );
        assert_eq!(sign(&SecretString::from(SECRET), AT, BODY.as_bytes()), SIGNATURE);
    }

    #[test]
    fn every_forged_signature_is_refused() {
        let hex = &SIGNATURE[3..];
        let forged: Vec<Vec<u8>> = vec![
            b"".to_vec(),
            b"v0=".to_vec(),
            hex.into(),
            format!("v1={hex}").into(),
            format!("V0={hex}").into(),
            format!("v0={}", hex.to_uppercase()).into(),
            format!("v0={}", &hex[..62]).into(),
            format!("v0={hex}00").into(),
            format!("v0= {hex}").into(),
            format!("v0={hex} ").into(),
            format!("{SIGNATURE},{SIGNATURE}").into(),
            format!("v0={}", "g".repeat(64)).into(),
            format!("v0={}", "é".repeat(32)).into(),
            [SIGNATURE.as_bytes(), b"\xff"].concat(),
        ];
        for signature in forged {
            let answer = check(AT.to_string().as_bytes(), &signature, BODY.as_bytes(), AT);
            assert_eq!(answer, Err(Unsigned::Malformed), "{:?}", String::from_utf8_lossy(&signature));
        }
        let wrong = SIGNATURE.replace("a2114d", "a2114e");
        assert_eq!(check(b"1531420618", wrong.as_bytes(), BODY.as_bytes(), AT), Err(Unsigned::Wrong));
    }

    #[test]
    fn every_forged_timestamp_is_refused() {
        for timestamp in [
            "",
            "now",
            "-1531420618",
            "1531420618.0",
            "+1531420618",
            "01531420618",
            " 1531420618",
            "0",
            "99999999999999999999",
        ] {
            let answer = check(timestamp.as_bytes(), SIGNATURE.as_bytes(), BODY.as_bytes(), AT);
            assert_eq!(answer, Err(Unsigned::Malformed), "{timestamp:?}");
        }
        assert_eq!(check(b"1531420619", SIGNATURE.as_bytes(), BODY.as_bytes(), AT), Err(Unsigned::Wrong));
    }

    #[test]
    fn five_minutes_are_the_limit_both_ways_and_extremes_do_not_panic() {
        for (off, expected) in [
            (-301, Err(Unsigned::Stale)),
            (-300, Ok(())),
            (-299, Ok(())),
            (299, Ok(())),
            (300, Ok(())),
            (301, Err(Unsigned::Stale)),
        ] {
            assert_eq!(check(b"1531420618", SIGNATURE.as_bytes(), BODY.as_bytes(), AT + off), expected, "{off}");
        }
        for extreme in [i64::MAX, i64::MAX - 1, 1] {
            let signed = sign(&SecretString::from(SECRET), extreme, b"x");
            let answer = check(extreme.to_string().as_bytes(), signed.as_bytes(), b"x", -62_000_000_000);
            assert_eq!(answer, Err(Unsigned::Stale));
        }
    }

    #[test]
    fn a_header_that_is_missing_or_stands_there_twice_is_refused() {
        let time: (&'static str, &[u8]) = ("x-slack-request-timestamp", b"1531420618");
        let sign: (&'static str, &[u8]) = ("x-slack-signature", SIGNATURE.as_bytes());
        for (given, expected) in [
            (vec![], Unsigned::Missing),
            (vec![time], Unsigned::Missing),
            (vec![sign], Unsigned::Missing),
            (vec![time, sign, sign], Unsigned::Malformed),
            (vec![time, time, sign], Unsigned::Malformed),
        ] {
            let answer = verify(&secrets(&[SECRET]), &headers(&given), BODY.as_bytes(), at(AT));
            assert_eq!(answer, Err(expected), "{given:?}");
        }
    }

    #[test]
    fn one_changed_byte_of_the_body_is_another_body() {
        for body in [format!("{BODY}\n"), BODY.replace("%2F", "%2f"), BODY.replacen('t', "T", 1), String::new()] {
            assert_eq!(check(b"1531420618", SIGNATURE.as_bytes(), body.as_bytes(), AT), Err(Unsigned::Wrong));
        }
        assert_eq!(check(b"1531420618", SIGNATURE.as_bytes(), b"\xff\x00", AT), Err(Unsigned::Wrong));
    }

    #[test]
    fn during_a_rotation_both_secrets_count_and_an_empty_one_never_does() {
        let headers =
            headers(&[("x-slack-request-timestamp", b"1531420618"), ("x-slack-signature", SIGNATURE.as_bytes())]);
        let answer = |all: &[&str]| verify(&secrets(all), &headers, BODY.as_bytes(), at(AT));
        assert_eq!(answer(&["the next one", SECRET]), Ok(()));
        assert_eq!(answer(&[SECRET, "the next one"]), Ok(()));
        assert_eq!(answer(&["another app's"]), Err(Unsigned::Wrong));
        assert_eq!(answer(&[]), Err(Unsigned::Wrong));
        let unkeyed = sign(&SecretString::from(""), AT, b"x");
        assert_eq!(check(b"1531420618", unkeyed.as_bytes(), b"x", AT), Err(Unsigned::Wrong));
        let unkeyed_headers =
            self::headers(&[("x-slack-request-timestamp", b"1531420618"), ("x-slack-signature", unkeyed.as_bytes())]);
        assert_eq!(verify(&secrets(&[""]), &unkeyed_headers, b"x", at(AT)), Err(Unsigned::Wrong));
    }
}
