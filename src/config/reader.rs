//! Reading TOML so that every mistake can be told at once: the file, the line, the key, what was found and
//! what is allowed. A key that nobody asked for is a mistake too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The line, counted from 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// The dotted path of the key; empty where the file as a whole is meant.
    pub key: String,
    /// What was found. Never the value of a secret.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": found {}; allowed: {}", self.found, self.allowed)
    }
}

/// Every mistake that was found; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What goes wrong while one file is read.
pub(super) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, errors: RefCell::default() }
    }

    /// Parses the text; every syntax error is a finding.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map(|span| span.start);
            self.add(at, "", &format!("a mistake in the TOML: {}", error.message()), "TOML 1.1");
        }
        errors.is_empty().then_some(table)
    }

    pub(super) fn add(&self, at: Option<usize>, key: &str, found: &str, allowed: &str) {
        let line = at.map(|at| self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1);
        let (file, key) = (self.file.to_owned(), key.to_owned());
        let (found, allowed) = (found.to_owned(), allowed.to_owned());
        self.errors.borrow_mut().push(ConfigError { file, line, key, found, allowed });
    }

    /// The result, if nothing went wrong; else all that did, in the order of the lines.
    pub(super) fn conclude<T>(self, result: Option<T>) -> Result<T, ConfigErrors> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        match result {
            Some(result) if errors.is_empty() => Ok(result),
            Some(_) | None => Err(ConfigErrors(errors)),
        }
    }
}

/// A table of the file, which remembers the keys it was asked for.
pub(super) struct Section<'a> {
    pub(super) findings: &'a Findings<'a>,
    path: String,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(findings: &'a Findings<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::at(findings, String::new(), table.span(), table.get_ref())
    }

    fn at(findings: &'a Findings<'a>, path: String, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        Self { findings, path, span, table, known: RefCell::default() }
    }

    /// The dotted path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let key = if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, which counts as known from now on.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// Whether the key is there at all.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Something is wrong with the value of `key`, or with its absence.
    pub(super) fn wrong(&self, key: &str, found: &str, allowed: &str) {
        let at = self.table.get(key).map_or(self.span.start, |value| value.span().start);
        self.findings.add(Some(at), &self.path_of(key), found, allowed);
    }

    /// Something is wrong with the section as a whole.
    pub(super) fn wrong_here(&self, found: &str, allowed: &str) {
        self.findings.add(Some(self.span.start), &self.path, found, allowed);
    }

    /// A key that must be there is missing.
    pub(super) fn missing(&self, key: &'static str, allowed: &str) {
        if !self.has(key) {
            self.wrong(key, "nothing", allowed);
        }
    }

    /// A value read by `read`, which answers with what is allowed where it cannot. None where the key is
    /// missing, or wrong and reported.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?.get_ref();
        read(value).map_err(|allowed| self.wrong(key, &shown(value), &allowed)).ok()
    }

    /// As [`Section::read`], and a missing key is reported.
    pub(super) fn need<T>(
        &self,
        key: &'static str,
        allowed: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        self.missing(key, allowed);
        self.read(key, read)
    }

    /// A list, each item read by `read`. A missing key is an empty list.
    pub(super) fn list<T>(&self, key: &'static str, read: impl Fn(&'a DeValue<'a>) -> Result<T, String>) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, &shown(value.get_ref()), "a list");
            return Vec::new();
        };
        let read_one = |item: &'a Spanned<DeValue<'a>>| {
            read(item.get_ref())
                .map_err(|allowed| {
                    let at = Some(item.span().start);
                    self.findings.add(at, &self.path_of(key), &shown(item.get_ref()), &allowed);
                })
                .ok()
        };
        items.iter().filter_map(read_one).collect()
    }

    /// The table under a key.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Self::at(self.findings, self.path_of(key), value.span(), table)),
            None => {
                self.wrong(key, &shown(value.get_ref()), "a table");
                None
            }
        }
    }

    /// The table under a key, or the tables of a list there.
    pub(super) fn one_or_several(&self, key: &'static str, label: &str) -> Vec<Section<'a>> {
        match self.value(key).map(|value| value.get_ref()) {
            Some(DeValue::Array(items)) if items.is_empty() => {
                self.wrong(key, "an empty list", "at least one table");
                Vec::new()
            }
            Some(DeValue::Array(_)) => self.sections(key, label),
            Some(_) | None => self.section(key).into_iter().collect(),
        }
    }

    /// The tables of a list under a key, each called by what it says under `label`, else by its number.
    pub(super) fn sections(&self, key: &'static str, label: &str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, &shown(value.get_ref()), "a list of tables");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong(key, &shown(item.get_ref()), "a list of tables");
                continue;
            };
            let named = table.get(label).and_then(|name| name.get_ref().as_str());
            let path = match named {
                Some(name) => format!("{}.{name:?}", self.path_of(key)),
                None => format!("{}[{}]", self.path_of(key), n + 1),
            };
            sections.push(Self::at(self.findings, path, item.span(), table));
        }
        sections
    }

    /// Every entry of a table whose keys are free.
    pub(super) fn entries(&self) -> Vec<(&'a str, &'a DeValue<'a>)> {
        self.table.iter().map(|(key, value)| (&**key.get_ref(), value.get_ref())).collect()
    }

    /// Every table in a table whose keys are free.
    pub(super) fn named_sections(&self) -> Vec<(&'a str, Section<'a>)> {
        let mut sections = Vec::new();
        for (key, value) in self.table {
            let name: &'a str = key.get_ref();
            match value.get_ref().as_table() {
                Some(table) => {
                    sections.push((name, Self::at(self.findings, self.path_of(name), value.span(), table)));
                }
                None => self.wrong(name, &shown(value.get_ref()), "a table"),
            }
        }
        sections
    }

    /// Reports every key that nobody asked for.
    pub(super) fn done(self) {
        let known = self.known.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(name) {
                let allowed = known.iter().copied().collect::<Vec<_>>().join(", ");
                self.findings.add(Some(key.span().start), &self.path_of(name), "an unknown key", &allowed);
            }
        }
    }
}

/// A value for a message: texts and numbers as they are (cut short), tables and lists by their kind only.
/// The user and password of an address are left out.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let text = match (text.split_once("://"), text.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
                _ => text.to_string(),
            };
            format!("{:?}", text.chars().take(80).collect::<String>())
        }
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
