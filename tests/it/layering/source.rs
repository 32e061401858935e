//! A source file as the layering test reads it: code only.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// One file under `src/`, without its comments, texts and test modules.
pub(super) struct Source {
    /// Below `src/`.
    pub(super) path: String,
    /// The module of the crate that it belongs to, at the top level.
    pub(super) module: String,
    /// The code that is left.
    pub(super) text: String,
    /// The top-level modules that it names through `crate::` or enough of `super::`.
    pub(super) names: BTreeSet<String>,
}

impl Source {
    pub(super) fn read(path: &str, text: &str) -> Self {
        let text = without_test_modules(&code_only(text));
        let top = path.split('/').next().unwrap_or(path);
        let module = top.strip_suffix(".rs").unwrap_or(top).to_owned();
        let mut names = after_prefix(&text, "crate::");
        names.extend(after_prefix(&text, "countersign::"));
        let above = "super::".repeat(depth(path));
        // In a test module it would be one more, but those are gone.
        names.extend(after_prefix(&text, &above));
        Self { path: path.to_owned(), module, text, names }
    }

    /// Whether the code says it, not as the end of a longer word.
    pub(super) fn mentions(&self, what: &str) -> bool {
        self.text.match_indices(what).any(|(at, _)| !self.text[..at].ends_with(is_in_a_word))
    }
}

/// How many `super::` lead from a file to the crate's root.
fn depth(path: &str) -> usize {
    let folders = path.matches('/').count();
    if path.ends_with("/mod.rs") { folders } else { folders + 1 }
}

/// The sources under `src/`, without the files of test modules. Read once.
pub(super) fn all() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(read_all)
}

fn read_all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    let tests: Vec<String> = files.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let is_test =
        |path: &str| tests.iter().any(|test| path == format!("{test}.rs") || path.starts_with(&format!("{test}/")));
    files.iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| Source::read(path, text)).collect()
}

/// The code of everything that is compiled: sources, tests and benchmarks.
pub(super) fn everything() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        collect(root, &root.join(folder), &mut files);
    }
    files.iter().map(|(_, text)| code_only(text)).collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("node_modules") {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The files, without `.rs`, that a file declares as `#[cfg(test)] mod name;`.
fn test_files(path: &str, text: &str) -> Vec<String> {
    let folder = match path.strip_suffix("mod.rs").or_else(|| path.strip_suffix("lib.rs")) {
        Some(folder) => folder.to_owned(),
        None => format!("{}/", path.trim_end_matches(".rs")),
    };
    let code = code_only(text);
    let declarations = code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let (declared, _) = rest.split_once([';', '{'])?;
        let is_a_file = rest[declared.len()..].starts_with(';');
        declared.split_once("mod ").filter(|_| is_a_file).map(|(_, name)| name.trim().to_owned())
    });
    declarations.map(|name| format!("{folder}{name}")).collect()
}

/// What is named directly behind a prefix: one word, or each first word of a group in braces.
fn after_prefix(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(is_in_a_word) || text[..at].ends_with("super::") {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(first_words(group)),
            None => names.extend(word(rest)),
        }
    }
    names
}

/// The first word of each member of a group, up to the brace that closes it.
fn first_words(group: &str) -> Vec<String> {
    let (mut depth, mut words, mut expected) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            c if expected && is_in_a_word(c) => {
                words.extend(word(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| is_in_a_word(*c)).collect();
    (!word.is_empty()).then_some(word)
}

fn is_in_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts out `#[cfg(test)] mod … { … }`.
fn without_test_modules(code: &str) -> String {
    let mut left = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        left.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        let end = rest.find([';', '{']).unwrap_or(rest.len());
        rest = if rest[end..].starts_with('{') { &rest[end + closing(&rest[end..])..] } else { &rest[end..] };
    }
    left + rest
}

/// The place behind the brace that closes the first one.
fn closing(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && c == '}' {
            return at + 1;
        }
    }
    code.len()
}

/// The code without comments, and with every text and character emptied.
fn code_only(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| raw_text(rest, &code)).or_else(|| quoted(rest));
        match skipped {
            Some(bytes) => {
                code.push(' ');
                rest = &rest[bytes..];
            }
            None => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    code
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

fn raw_text(rest: &str, before: &str) -> Option<usize> {
    let marks = rest.strip_prefix('r').filter(|_| !before.ends_with(|c| is_in_a_word(c) && c != 'b'))?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    let text = marks[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.find(&end).map_or(rest.len(), |at| 1 + hashes + 1 + at + end.len()))
}

fn quoted(rest: &str) -> Option<usize> {
    let mut all = rest.char_indices();
    match all.next()?.1 {
        '"' => {}
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        '\'' if rest[1..].starts_with('\\') => {}
        '\'' => {
            let (at, c) = all.next()?;
            return rest[at + c.len_utf8()..].starts_with('\'').then(|| at + c.len_utf8() + 1);
        }
        _ => return None,
    }
    let end = rest.chars().next()?;
    while let Some((at, c)) = all.next() {
        match c {
            '\\' => drop(all.next()),
            c if c == end => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}
