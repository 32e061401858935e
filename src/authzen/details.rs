//! RFC 9396 authorization details, which come in the context, as evaluations, or as both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The name that stands for the action of an entry that names none.
const NO_ACTION: &str = "authorization_detail";

/// One evaluation about a detail: one location and one action of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// The entry's `type`.
    pub(super) kind: String,
    /// One of its `locations`.
    pub(super) location: String,
    /// One of its `actions`, with a datatype behind a colon where it has some.
    pub(super) action: String,
}

/// The entries, and after them those that the evaluations name and no entry holds.
///
/// The context's entries are the full story where they are there. An evaluation beyond them is still something that
/// is asked for, so it becomes an entry of its own: nothing is granted that people were not shown.
pub(super) fn merged(mut entries: Vec<Value>, cells: Vec<Cell>, audience: &BTreeSet<String>) -> Vec<Value> {
    let mut beyond: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for cell in cells {
        if !entries.iter().filter_map(Value::as_object).any(|entry| holds(entry, &cell, audience)) {
            beyond.entry((cell.kind, cell.location)).or_default().insert(cell.action);
        }
    }
    for ((kind, location), mut actions) in beyond {
        if actions.remove(NO_ACTION) {
            entries.push(json!({ "type": kind, "locations": [location] }));
        }
        if !actions.is_empty() {
            entries.push(json!({ "type": kind, "locations": [location], "actions": actions }));
        }
    }
    entries
}

/// Whether a cell is one of those that an entry is the product of.
fn holds(entry: &Map<String, Value>, cell: &Cell, audience: &BTreeSet<String>) -> bool {
    let texts = |name: &str| -> Option<Vec<&str>> {
        Some(entry.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    };
    let at_location = match texts("locations") {
        Some(locations) => locations.contains(&cell.location.as_str()),
        None => audience.contains(&cell.location),
    };
    let actions = texts("actions").unwrap_or_else(|| vec![NO_ACTION]);
    let datatypes = texts("datatypes").unwrap_or_default();
    let named = actions.iter().any(|action| match cell.action.strip_prefix(action) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|datatype| datatypes.contains(&datatype)),
        None => false,
    });
    entry.get("type").and_then(Value::as_str) == Some(&cell.kind) && at_location && named
}
