//! Imports point one way: `main → app → {http, worker, playground} → service → {store, slack, hooks, authzen} → domain`.
//!
//! The sources are read as text, without comments, texts and test modules. What is checked: which module of the
//! crate may name which other, which of them may name an outside crate that reaches the world, and what the pure
//! ones must never say. ARCHITECTURE.md draws the same picture.

mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::Source;

/// Who may name whom. A module may always name itself. What stands in no row does not exist.
const MAY_NAME: &[(&str, &[&str])] = &[
    // The pure inside.
    ("domain", &["clock"]), // the type of an instant only; see `only_the_type_of_an_instant_enters_the_domain`
    // Leaves.
    ("clock", &[]),
    ("telemetry", &[]),
    ("config", &["domain", "door"]),
    // The edges. They never meet; `door` is what hooks and authzen share.
    ("door", &["domain", "clock"]),
    ("hooks", &["domain", "door"]),
    ("authzen", &["domain", "door"]),
    ("slack", &["domain", "clock"]),
    ("openid", &["domain", "clock"]),
    ("store", &["domain"]),
    // Where they meet.
    ("service", &["domain", "clock", "door", "hooks", "authzen", "slack", "openid", "store"]),
    // What drives it. Of the edges, http knows the pure halves: parse and render.
    ("http", &["domain", "config", "telemetry", "door", "hooks", "authzen", "slack", "service"]),
    ("worker", &["service"]),
    ("playground", &["clock"]), // a stand-in for somebody else: it knows Countersign by HTTP only
    // What puts it together.
    ("app", &["clock", "config", "domain", "telemetry", "store", "slack", "openid", "service", "http", "worker"]),
    ("demo", &["app", "cli", "clock", "config", "domain", "http", "playground"]),
    ("policy_tools", &["clock", "config", "domain", "door", "hooks", "store"]),
    ("report", &["domain", "store"]),
    ("remote", &[]),
    ("cli", &["app", "demo", "policy_tools", "remote", "report", "clock", "config", "domain", "store", "telemetry"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Which modules may name an outside crate that reaches the world, or that only one part should depend on.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("tokio", &["store", "slack", "service", "http", "worker", "playground", "app", "demo", "cli"]),
    ("sqlx", &["store"]),
    ("rustix", &["store", "cli"]),
    ("slack_morphism", &["slack"]),
    ("reqwest", &["slack", "openid", "playground", "remote"]),
    ("openidconnect", &["openid"]),
    ("tokio_tungstenite", &["slack", "playground"]),
    ("tokio_rustls", &["slack"]),
    ("rustls", &["slack"]),
    ("rustls_platform_verifier", &["slack"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("tower_http", &["http"]),
    ("axum", &["http", "playground", "demo", "config", "door", "hooks", "authzen", "slack", "policy_tools"]), // the last six: its `http` types
    ("clap", &["cli", "policy_tools", "remote"]),
    ("toml", &["config", "policy_tools"]),
    ("cel", &["domain"]),
    ("standardwebhooks", &["door", "playground"]),
];

/// What may stand in one place only, each with that place.
const ONE_PLACE: &[(&str, &str)] = &[("Utc::now", "clock.rs"), ("SystemTime::now", "clock.rs")];

/// What may stand nowhere in a pure module: waiting, time, chance, the outside.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "Utc::now",
    "SystemTime",
    "Instant::now",
    "tokio",
    "sqlx",
    "axum",
    "reqwest",
    "hyper",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "uuid",
    "aws_lc_rs",
    "rand::",
    "tracing",
    "metrics::",
    "println!",
    "static mut",
    "RefCell",
    "Mutex",
];

/// The rule of each source file, as sentences about what breaks it.
fn broken_rules(source: &Source) -> Vec<String> {
    let module = source.module.as_str();
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: the module `{module}` has no row in MAY_NAME", source.path)];
    };
    let mut broken = Vec::new();
    let mut breaks = |what: String| broken.push(format!("{}: {what}", source.path));
    for named in &source.names {
        let exists = MAY_NAME.iter().any(|(name, _)| name == named);
        if exists && named != module && !allowed.contains(&named.as_str()) {
            breaks(format!("`{module}` names `{named}`"));
        }
    }
    for (outside, homes) in OUTSIDE {
        if !homes.contains(&module) && source.mentions(&format!("{outside}::")) {
            breaks(format!("`{module}` names the crate `{outside}`"));
        }
    }
    for (what, home) in ONE_PLACE {
        if source.path != *home && source.mentions(what) {
            breaks(format!("says `{what}`, which belongs in {home}"));
        }
    }
    if module == "domain" {
        for what in IMPURE.iter().filter(|what| source.mentions(what)) {
            breaks(format!("says `{what}`, and the domain is pure"));
        }
    }
    broken
}

#[test]
fn imports_point_one_way_and_the_domain_is_pure() {
    let sources = source::all();
    assert!(sources.len() > 50, "the sources were found");
    let broken: Vec<String> = sources.iter().flat_map(broken_rules).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_edges_never_name_each_other() {
    const EDGES: [&str; 5] = ["store", "slack", "hooks", "authzen", "playground"];
    for (module, allowed) in MAY_NAME.iter().filter(|(module, _)| EDGES.contains(module)) {
        let edge = allowed.iter().find(|other| EDGES.contains(other));
        assert_eq!(edge, None, "the table lets `{module}` name another edge");
    }
}

#[test]
fn only_the_type_of_an_instant_enters_the_domain() {
    for source in source::all().iter().filter(|source| source.module == "domain") {
        for (at, _) in source.text.match_indices("crate::clock") {
            let rest = &source.text[at..];
            assert!(rest.starts_with("crate::clock::Timestamp"), "{}: {}", source.path, &rest[..40.min(rest.len())]);
        }
    }
}

#[test]
fn each_row_of_the_table_is_about_a_module_that_exists() {
    let modules: BTreeSet<String> = source::all().iter().map(|source| source.module.clone()).collect();
    for (module, _) in MAY_NAME {
        assert!(modules.contains(*module), "there is no module `{module}`");
    }
}

/// The check itself is checked: on sources that break a rule each, and on some that only look as if they did.
#[test]
fn a_broken_rule_is_found_however_it_is_written() {
    let breaks = |path: &str, text: &str| !broken_rules(&Source::read(path, text)).is_empty();
    for (path, text) in [
        ("domain/grant/mod.rs", "use crate::store::Store;"),
        ("domain/grant/mod.rs", "async fn f() {}"),
        ("domain/grant/mod.rs", "fn f() { let now = chrono::Utc::now(); }"),
        ("domain/policy/sum.rs", "use super::super::super::slack::cards;"),
        ("store/read.rs", "use crate::{domain::grant::Grant, slack::Slack};"),
        ("store/read.rs", "fn f(slack: &crate::slack::Slack) {}"),
        ("store/mod.rs", "use super::slack::Slack;"),
        ("slack/people.rs", "pub use crate::hooks as h;"),
        ("hooks/generic.rs", "use tokio::time;"),
        ("http/hook.rs", "use crate::store::Store;"),
        ("worker.rs", "use crate::slack::Slack;"),
        ("service/ask.rs", "fn f() { Utc::now(); }"),
        ("service/ask.rs", "use slack_morphism::SlackClient;"),
        ("surprise/mod.rs", "fn f() {}"),
    ] {
        assert!(breaks(path, text), "{path}: {text}");
    }
    for (path, text) in [
        ("domain/grant/mod.rs", "// use crate::store::Store;\n/* async fn */ /// crate::slack\nfn f() {}"),
        ("domain/grant/mod.rs", "const SAYS: &str = \"crate::store and Utc::now\";"),
        ("domain/grant/mod.rs", "const SAYS: &str = r#\"a \"quoted\" crate::store\"#;"),
        ("domain/grant/mod.rs", "fn f<'a>(c: char) -> bool { c == '\"' } // crate::store \""),
        ("domain/grant/mod.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::store::Store; fn g() { {} } }"),
        ("domain/policy/sum.rs", "use super::super::scope::Scope;"),
        ("store/read.rs", "use crate::domain::grant::Grant;"),
    ] {
        assert!(!breaks(path, text), "{path}: {text}");
    }
}

/// What `cargo machete` would say, for the price of reading the sources: each dependency is named by the code that
/// ships, each development dependency by a test or a benchmark.
#[test]
fn every_dependency_is_used() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let shipped = source::all().iter().map(|source| source.text.clone()).collect();
    for (table, code) in [("dependencies", shipped), ("dev-dependencies", source::everything())] {
        for name in manifest[table].as_table().unwrap().keys() {
            let path = format!("{}::", name.replace('-', "_"));
            assert!(code.iter().any(|text: &String| text.contains(&path)), "nothing names `{name}` of [{table}]");
        }
    }
}
