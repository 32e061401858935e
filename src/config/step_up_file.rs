//! `[step_up]` of `countersign.toml`: the OpenID provider at which approvers authenticate anew.

use secrecy::SecretString;
use toml::de::DeValue;
use url::Url;

use super::reader::Section;
use super::secrets::Sources;
use super::values;

/// The provider, and what counts there.
#[derive(Debug, Clone)]
pub struct StepUpConfig {
    /// Its issuer identifier.
    pub issuer: Url,
    /// Who we are there.
    pub client_id: String,
    /// What proves that; none for a public client.
    pub client_secret: Option<SecretString>,
    /// The authentication contexts that are asked for and accepted; empty accepts any.
    pub acr_values: Vec<String>,
    /// The claim that names the person in the directory.
    pub claim: PersonClaim,
}

/// The claim that names the person in the directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PersonClaim {
    /// `email`, if the provider calls it verified.
    #[default]
    Email,
    /// `sub`.
    Subject,
    /// `preferred_username`.
    PreferredUsername,
}

const CLAIMS: [(&str, PersonClaim); 3] = [
    ("email", PersonClaim::Email),
    ("sub", PersonClaim::Subject),
    ("preferred_username", PersonClaim::PreferredUsername),
];

/// Reads `[step_up]`. Without `acr_values` it warns: any sign-in would count, also a password alone.
pub(super) fn read(section: Section<'_>, sources: &Sources<'_>, warnings: &mut Vec<String>) -> Option<StepUpConfig> {
    const AN_ISSUER: &str = "the provider's issuer identifier, an https address (plain http only on this machine)";
    let issuer = section.need("issuer", AN_ISSUER, issuer);
    let client_id = section.need("client_id", "the client's identifier at the provider", values::text);
    let client_secret =
        if section.has("client_secret") { sources.one(&section, "client_secret").map(Some) } else { Some(None) };
    let acr_values = section.list("acr_values", acr);
    if acr_values.is_empty() {
        let why = "step_up.acr_values names no authentication context: any sign-in at the provider counts.";
        warnings.push(why.to_owned());
    }
    let claim = section.read("claim", |v| values::one_of(v, &CLAIMS)).unwrap_or_default();
    section.done();
    Some(StepUpConfig { issuer: issuer?, client_id: client_id?, client_secret: client_secret?, acr_values, claim })
}

fn issuer(value: &DeValue<'_>) -> Result<Url, String> {
    let url = values::address(value)?;
    if url.scheme() == "https" || values::is_loopback(&url) {
        return Ok(url);
    }
    Err("an https address (plain http only on this machine): it says who an approver is".to_owned())
}

/// One value of a list that is sent with spaces between.
fn acr(value: &DeValue<'_>) -> Result<String, String> {
    let text = values::text(value)?;
    if text.contains(char::is_whitespace) {
        Err("an authentication context without spaces".to_owned())
    } else {
        Ok(text)
    }
}
