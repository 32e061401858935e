//! What the crate slackblocks says about each line of a file: `{"name", "value"}` in, `{"name", "problems"}` out.

use std::env::args;
use std::fs;

use serde_json::{Value, json};
use slackblocks::{HomeTabView, MessagePayload, ModalView};

/// Parse, then demand the same JSON back.
macro_rules! problem {
    ($type:ty, $value:expr) => {
        match <$type>::try_from($value.clone()) {
            Ok(read) => match serde_json::to_value(read) {
                Ok(back) if back == *$value => None,
                Ok(_) => Some("it comes back changed".to_owned()),
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(format!("{} at {}: {}", error.category(), error.path(), error.message())),
        }
    };
}

fn problems(value: &Value) -> Vec<String> {
    let found = match value["type"].as_str() {
        Some("modal") => problem!(ModalView, value),
        Some("home") => problem!(HomeTabView, value),
        _ => problem!(MessagePayload, value),
    };
    found.into_iter().collect()
}

fn main() {
    for file in args().skip(1) {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
            println!("{}", json!({ "name": case["name"], "problems": problems(&case["value"]) }));
        }
    }
}
