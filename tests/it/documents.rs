//! The documents are true where a program can tell: what they name exists, and the table of settings is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of the project, below its root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules", "tmp"].contains(&name) {
            collect(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// What stands between backticks in a text.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let documents = documents();
    assert!(documents.len() >= 6, "{documents:?}");
    for document in documents {
        let written = fs::read_to_string(&document).unwrap();
        let prose = written.split("```").step_by(2).collect::<String>();
        let named = code_spans(&prose).filter(|span| {
            ["src/", "tests/", "docs/", "examples/", "manifests/", "migrations/"].iter().any(|f| span.starts_with(f))
                && !span.contains(['*', '{', ' ', '<'])
        });
        for name in named {
            assert!(root().join(name).exists(), "{} names {name}", document.display());
        }
        for link in written.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                let target = document.parent().unwrap().join(file);
                assert!(target.exists(), "{} links to {link}", document.display());
            }
        }
    }
}

/// Whether a file defines this: a function, a type, a macro's name.
fn defines(file: &str, name: &str) -> bool {
    let source = text(file);
    let forms = ["fn ", "struct ", "enum ", "trait ", "const "];
    forms.iter().any(|form| {
        source.match_indices(&format!("{form}{name}")).any(|(at, found)| {
            let next = source[at + found.len()..].chars().next();
            next.is_some_and(|c| !c.is_alphanumeric() && c != '_')
        })
    })
}

#[test]
fn where_is_leads_to_the_line() {
    let architecture = text("ARCHITECTURE.md");
    let (_, table) = architecture.split_once("## Where is").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("`src/"))
        .map(|line| code_spans(line).collect())
        .collect();
    assert!(rows.len() > 15, "the table was found");
    for row in rows {
        if let [file, names @ ..] = row.as_slice() {
            for name in names {
                assert!(defines(file, name), "{file} does not define {name}");
            }
        }
    }
}

/// "`name` in `src/file.rs`", "`name` and `other` in …", and "`name` (`src/file.rs`)" are promises.
#[test]
fn each_function_stands_in_the_file_that_the_architecture_says() {
    let architecture = text("ARCHITECTURE.md").replace('\n', " ");
    let mut promises = 0;
    for (at, _) in architecture.match_indices("`src/") {
        let file = architecture[at + 1..].split('`').next().unwrap();
        let before = architecture[..at].trim_end();
        let Some(before) = before.strip_suffix("in").or_else(|| before.strip_suffix('(')) else { continue };
        let mut before = before.trim_end();
        while let Some(rest) = before.strip_suffix('`') {
            let (earlier, name) = rest.rsplit_once('`').unwrap();
            if !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                break;
            }
            assert!(defines(file, name), "{file} does not define {name}");
            promises += 1;
            before = earlier.trim_end();
            before = before.strip_suffix("and").or_else(|| before.strip_suffix(',')).unwrap_or(before).trim_end();
        }
    }
    assert!(promises > 30, "{promises} promises were found");
}

/// The keys that the code reads: the first text of each call of a reader.
fn keys_of_the_code() -> BTreeSet<String> {
    const READERS: [&str; 14] = [
        ".need(",
        ".read(",
        ".section(",
        ".sections(",
        ".missing(",
        ".list(",
        "needed(&root, ",
        ".several(",
        "sources.one(&section, ",
        "sources.one(section, ",
        "sources.several(section, ",
        "sources.several(&section, ",
        "time(",
        "number(",
    ];
    const FILES: [&str; 6] = ["server_file", "slack_file", "hook_file", "policy_file", "rule_file", "step_up_file"];
    let mut keys = BTreeSet::new();
    for file in FILES {
        let source = text(format!("src/config/{file}.rs"));
        for reader in READERS {
            for (at, found) in source.match_indices(reader) {
                if let Some(rest) = source[at + found.len()..].trim_start().strip_prefix('"') {
                    keys.insert(rest.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
    keys
}

#[test]
fn the_table_of_settings_has_every_key_and_no_other() {
    let page = text("README.md");
    let (_, page) = page.split_once("## Configuration").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let written: BTreeSet<String> = rows
        .flat_map(|row| code_spans(row.split('|').nth(1).unwrap()).map(str::to_owned).collect::<Vec<_>>())
        .flat_map(|key| key.split('.').map(|part| part.trim_end_matches("[]").to_owned()).collect::<Vec<_>>())
        .filter(|part| !part.starts_with(['<', '"']))
        .collect();
    // Read by other words than a reader's: a name of the user's own, the verdicts, the ways to authenticate.
    let more = ["approvers", "deny", "users", "api_key", "app_token"];
    let code: BTreeSet<String> = keys_of_the_code().into_iter().chain(more.map(str::to_owned)).collect();
    let unwritten: Vec<_> = code.difference(&written).collect();
    let unread: Vec<_> = written.difference(&code).collect();
    assert!(unwritten.is_empty(), "README.md lacks {unwritten:?}");
    assert!(unread.is_empty(), "README.md has {unread:?}, which nothing reads");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_metric_is_explained_and_no_other() {
    let names = |text: &str| -> BTreeSet<String> {
        text.match_indices("countersign_")
            .map(|(at, _)| text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
            .collect()
    };
    let mut files = Vec::new();
    for folder in ["src/service", "src/http", "src/slack"] {
        sources(&root().join(folder), &mut files);
    }
    let code: String = files.into_iter().map(text).collect();
    let in_code: BTreeSet<String> = ["counter!(", "gauge!(", "histogram!("]
        .into_iter()
        .flat_map(|call| code.split(call).skip(1).filter_map(|rest| rest.split('"').nth(1)))
        .map(str::to_owned)
        .collect();
    assert!(in_code.len() > 5, "the metrics were found");
    let page = text("docs/operating.md");
    let (_, table) = page.split_once("## Metrics").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    assert_eq!(in_code, names(table), "left: the code; right: docs/operating.md");
}

#[test]
fn one_version_stands_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let openapi: serde_json::Value = serde_json::from_str(&text("src/http/openapi.json")).unwrap();
    assert_eq!(openapi["info"]["version"], version);
    for file in ["docker-compose.yml", "manifests/kubernetes/countersign.yaml"] {
        assert!(text(file).contains(&format!("image: countersign:{version}\n")), "{file} is of another version");
    }
}
