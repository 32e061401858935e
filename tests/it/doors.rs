//! What is refused at the doors, and what is shown inert behind them.

mod bodies;
mod hostile;
mod machines;
mod operators;
mod signatures;
mod sockets;

use serde_json::Value;

/// The doors as `openapi.json` lists them, which another test holds to the router: method and path.
fn doors() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(include_str!("../../src/http/openapi.json")).expect("JSON");
    let mut doors = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations").iter().filter(|(key, _)| *key != "parameters")
        {
            doors.push((method.to_uppercase(), path.clone(), operation["security"].clone()));
        }
    }
    doors
}
