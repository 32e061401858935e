//! Secrets: named in the file, kept in the environment or in files of their own. Nothing here ever shows one.

use std::path::Path;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use toml::de::{DeTable, DeValue};

use super::reader::Section;

/// The fewest characters of a secret; anything shorter can be guessed.
const CHARACTERS_MIN: usize = 16;
/// How a secret is written.
pub(super) const A_SECRET: &str = "{ env = \"NAME\" } or { file = \"path\" }; secrets do not stand in this file";
/// What a Standard Webhooks secret begins with.
const WEBHOOK_PREFIX: &str = "whsec_";

/// Where secrets come from.
pub(super) struct Sources<'a> {
    /// The environment.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that file names are relative to.
    pub(super) folder: &'a Path,
}

impl Sources<'_> {
    /// The one secret under a key, which must be there.
    pub(super) fn one(&self, section: &Section<'_>, key: &'static str) -> Option<SecretString> {
        section.missing(key, A_SECRET);
        self.resolve(section, key, section.value(key)?.get_ref())
    }

    /// The secrets under a key: one, or several while they are being replaced. None where the key is missing;
    /// an empty list is reported.
    pub(super) fn several(&self, section: &Section<'_>, key: &'static str) -> Option<Vec<SecretString>> {
        let value = section.value(key)?.get_ref();
        let Some(list) = value.as_array() else {
            return self.resolve(section, key, value).map(|secret| vec![secret]);
        };
        if list.is_empty() {
            section.wrong(key, "an empty list", "a secret, or a list of them");
        }
        let secrets: Vec<_> = list.iter().filter_map(|item| self.resolve(section, key, item.get_ref())).collect();
        (!secrets.is_empty() && secrets.len() == list.len()).then_some(secrets)
    }

    fn resolve(&self, section: &Section<'_>, key: &str, value: &DeValue<'_>) -> Option<SecretString> {
        let Some(table) = value.as_table() else {
            section.wrong(key, kind(value), A_SECRET);
            return None;
        };
        let text = |name: &str| table.get(name).and_then(|value| value.get_ref().as_str());
        let found = match (text("env"), text("file"), table.len()) {
            (Some(name), None, 1) => self.in_env(name),
            (None, Some(path), 1) => self.in_file(path),
            _ => Err((keys(table), A_SECRET.to_owned())),
        };
        found.map_err(|(found, allowed)| section.wrong(key, &found, &allowed)).ok()
    }

    fn in_env(&self, name: &str) -> Result<SecretString, (String, String)> {
        // What does not look like a name may be the secret itself, put in the wrong place.
        let is_a_name = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        let name_shown = if is_a_name { name } else { "of that name" };
        let wanted = || format!("at least {CHARACTERS_MIN} characters in the environment variable {name_shown}");
        match (self.env)(name) {
            Some(text) => long_enough(&text).map_err(|found| (found, wanted())),
            None => Err((format!("no environment variable {name_shown}"), wanted())),
        }
    }

    fn in_file(&self, path: &str) -> Result<SecretString, (String, String)> {
        let path = self.folder.join(path);
        let wanted = || format!("at least {CHARACTERS_MIN} characters in the file {}", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => long_enough(text.trim_end_matches(['\r', '\n'])).map_err(|found| (found, wanted())),
            Err(error) => Err((format!("no readable file {} ({})", path.display(), error.kind()), wanted())),
        }
    }
}

fn long_enough(text: &str) -> Result<SecretString, String> {
    match text.trim().chars().count() {
        0 => Err("an empty secret".to_owned()),
        n if n < CHARACTERS_MIN => Err(format!("a secret of {n} characters")),
        _ => Ok(SecretString::from(text)),
    }
}

/// The names of a table's keys, without their values.
fn keys(table: &DeTable<'_>) -> String {
    let keys: Vec<&str> = table.keys().map(|key| &**key.get_ref()).collect();
    if keys.is_empty() { "an empty table".to_owned() } else { format!("a table with {}", keys.join(", ")) }
}

/// What kind of value it is, without the value.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether a secret has the form that Standard Webhooks gives it: `whsec_` and base64.
pub(super) fn is_webhook_secret(secret: &SecretString) -> bool {
    let key = secret.expose_secret().strip_prefix(WEBHOOK_PREFIX);
    key.filter(|key| key.len() >= CHARACTERS_MIN)
        .is_some_and(|key| base64::engine::general_purpose::STANDARD.decode(key).is_ok())
}
