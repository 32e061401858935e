//! What observed hooks and rules let pass, read from the file by another process, as [`super::History`] does.

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::{StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::audit::{AuditEntry, Kind};

/// Hands every entry since an instant that holds an observation to `each`, oldest first.
///
/// # Errors
/// When the file cannot be read as a database of this service.
pub async fn observations(path: &Path, since: Timestamp, mut each: impl FnMut(AuditEntry)) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(StoreError::Unusable(format!("{} is not there", path.display())));
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5));
    let mut conn = options.disable_statement_logging().connect().await?;
    let mut found = sqlx::query(
        "SELECT seq, body FROM audit WHERE at >= $1 AND (kind = $2 OR (kind = $3 AND body LIKE '%\"observed\":{%')) ORDER BY seq",
    )
    .bind(since.timestamp_millis())
    .bind(Kind::Observed.as_str())
    .bind(Kind::TokenIssued.as_str())
    .fetch(&mut conn);
    while let Some(row) = found.try_next().await? {
        let seq: i64 = row.try_get("seq")?;
        each(rows::parse("audit", &seq.to_string(), row.try_get("body")?)?);
    }
    Ok(())
}
