//! Logs and metrics. Secrets never reach either: nothing that holds one can be printed.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: text on a terminal, JSON elsewhere. `RUST_LOG` filters as usual.
///
/// Crates that would print what they send are kept at INFO, whatever the filter says.
pub fn start_logging() {
    let quiet = ["slack_morphism=info", "hyper=info", "hyper_util=info", "reqwest=info", "sqlx=info", "rustls=info"];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = quiet.iter().filter_map(|rule| rule.parse().ok()).fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (the tests start many services in one process) changes nothing.
    let _ = if std::io::IsTerminal::is_terminal(&std::io::stderr()) { log.try_init() } else { log.json().try_init() };
}

/// How long people take, in seconds: below three nobody has read the card, and above an hour nobody was there.
const BUCKETS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0];

/// The metrics of this process, in Prometheus's text format.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let with_buckets =
        || PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS);
    HANDLE.get_or_init(|| with_buckets().ok()?.install_recorder().ok()).as_ref()
}
