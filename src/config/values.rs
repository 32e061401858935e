//! How single values are written: times, names, numbers, addresses. Each reader answers with what is
//! allowed where a value is not that.

use std::num::NonZeroU8;
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use crate::domain::ids::NotAName;
use crate::domain::policy::{LONGEST, Uses};

const A_TIME: &str = "a time like \"30m\" or \"8h\": whole seconds, more than none, at most ten years";

/// A text with something in it.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err("a text that is not empty".to_owned()),
    }
}

/// A name of one of the domain's kinds.
pub(super) fn name<T>(value: &DeValue<'_>, parse: impl Fn(&str) -> Result<T, NotAName>) -> Result<T, String> {
    let text = value.as_str().ok_or("a text")?;
    parse(text).map_err(|error| error.wanted.to_owned())
}

/// A boolean.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".to_owned())
}

/// A time in whole seconds.
pub(super) fn seconds(value: &DeValue<'_>) -> Result<u64, String> {
    let duration = value.as_str().and_then(|text| humantime::parse_duration(text).ok()).ok_or(A_TIME)?;
    let whole = duration.subsec_nanos() == 0 && (1..=LONGEST).contains(&duration.as_secs());
    if whole { Ok(duration.as_secs()) } else { Err(A_TIME.to_owned()) }
}

/// A time, as far as `longest` allows.
pub(super) fn duration_up_to(value: &DeValue<'_>, longest: u64, allowed: &str) -> Result<Duration, String> {
    match seconds(value) {
        Ok(seconds) if seconds <= longest => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(allowed.to_owned()),
    }
}

/// A whole number from `least` up.
pub(super) fn number(value: &DeValue<'_>, least: u32) -> Result<u32, String> {
    let number = value.as_integer().and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
    number.filter(|number| *number >= least).ok_or_else(|| format!("a whole number from {least} up"))
}

/// How many people must agree.
pub(super) fn people(value: &DeValue<'_>) -> Result<NonZeroU8, String> {
    let people = number(value, 1).ok().and_then(|n| u8::try_from(n).ok()).and_then(NonZeroU8::new);
    people.ok_or_else(|| "a whole number from 1 to 255".to_owned())
}

/// How often a grant may be used.
pub(super) fn uses(value: &DeValue<'_>) -> Result<Uses, String> {
    match value.as_str() {
        Some("window") => Ok(Uses::Window),
        Some("single") => Ok(Uses::Times(1)),
        Some(_) => Err(USES.to_owned()),
        None => number(value, 1).map(Uses::Times).map_err(|_| USES.to_owned()),
    }
}

const USES: &str = "\"window\", \"single\", or a number of issuances from 1 up";

/// One of a few words.
pub(super) fn one_of<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        words.join(", ")
    })
}

/// An http or https address without credentials, query or fragment.
pub(super) fn address(value: &DeValue<'_>) -> Result<Url, String> {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let url = value.as_str().and_then(|text| Url::parse(text).ok()).filter(plain);
    url.ok_or_else(|| "an address like \"https://host/path\", without user, query or fragment".to_owned())
}

/// Whether an address stays on this machine, where plain http can be read by nobody else.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
