//! Opening the SQLite file: what must hold before a single row is read.
//!
//! One process, one writing connection, `synchronous=FULL`. The version gate keeps out the SQLite releases
//! whose write-ahead log could lose committed rows (fixed in 3.51.3).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statfs};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Row, SqliteConnection, SqlitePool};

use super::StoreError;

/// The first SQLite release without the write-ahead-log corruption.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How many connections read at the same time.
const READERS: u32 = 4;
/// How much of the file each of them keeps, in KiB (negative, as SQLite wants it): the system keeps it too.
const READER_CACHE: &str = "-512";
/// File systems on which locks or shared memory do not hold: NFS, SMB, SMB2, 9P.
const REMOTE: [i64; 4] = [0x6969, 0x517b, 0xfe53_4d42, 0x0102_1997];

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// An opened database: the lock, the one writing connection, the readers.
pub(super) struct Opened {
    pub lock: File,
    pub writer: SqliteConnection,
    pub readers: SqlitePool,
    /// Whether the last process that had it stopped without saying so.
    pub was_unclean: bool,
}

pub(super) async fn open(path: &Path) -> Result<Opened, StoreError> {
    let lock = take_lock(path)?;
    let base = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("mmap_size", "0")
        .pragma("temp_store", "MEMORY")
        .pragma("recursive_triggers", "OFF")
        .disable_statement_logging();
    let mut writer = base
        .clone()
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("journal_size_limit", "67108864")
        .connect()
        .await?;
    check_version(&mut writer).await?;
    MIGRATIONS.run(&mut writer).await.map_err(|e| StoreError::Unusable(format!("its migrations do not fit: {e}")))?;
    let was_unclean = mark_in_use(&mut writer).await?;
    // Whoever held these rows is gone: this is the only process. Whether Slack did what they ask is not known.
    sqlx::query("UPDATE outbox SET lease_until = 0, lease = NULL, unsure = 1 WHERE lease IS NOT NULL")
        .execute(&mut writer)
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(base.read_only(true).busy_timeout(Duration::from_secs(2)).pragma("cache_size", READER_CACHE))
        .await?;
    Ok(Opened { lock, writer, readers, was_unclean })
}

fn take_lock(path: &Path) -> Result<File, StoreError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    };
    let unusable =
        |what: &str, e: &dyn std::fmt::Display| StoreError::Unusable(format!("{}: {what}: {e}", path.display()));
    let kind = statfs(&folder).map_err(|e| unusable("its folder cannot be read", &e))?.f_type;
    if REMOTE.contains(&(kind as i64)) {
        return Err(unusable("it is on a network file system", &"SQLite's locks do not hold there"));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(|e| unusable("its lock file cannot be opened", &e))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|e| unusable("another process has it open (one SQLite file serves one process)", &e))?;
    Ok(file)
}

async fn check_version(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    let text: String = sqlx::query("SELECT sqlite_version()").fetch_one(&mut *writer).await?.try_get(0)?;
    if version_is_safe(&text) {
        return Ok(());
    }
    let (major, minor, patch) = VERSION_MIN;
    Err(StoreError::Unusable(format!(
        "SQLite {text} can lose committed rows; {major}.{minor}.{patch} or later is needed"
    )))
}

/// Whether a SQLite release is the first safe one or later.
pub(super) fn version_is_safe(text: &str) -> bool {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor), Some(patch)) => (major, minor, patch) >= VERSION_MIN,
        (_, _, _) => false,
    }
}

/// Notes that the file is in use, and says whether the note of the last user was still there.
async fn mark_in_use(writer: &mut SqliteConnection) -> Result<bool, StoreError> {
    let note = sqlx::query("SELECT value FROM facts WHERE name = 'in_use'").fetch_optional(&mut *writer).await?;
    let was_unclean = note.is_some();
    sqlx::query("INSERT INTO facts (name, value) VALUES ('in_use', '1') ON CONFLICT (name) DO NOTHING")
        .execute(&mut *writer)
        .await?;
    Ok(was_unclean)
}

/// Takes the note away again: the last thing a clean stop writes.
pub(super) async fn mark_clean(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM facts WHERE name = 'in_use'").execute(&mut *writer).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *writer).await?;
    Ok(())
}

/// Reads the whole file and says what is wrong with it, if anything is.
pub(super) async fn integrity(readers: &SqlitePool, check: Check) -> Result<(), StoreError> {
    let sql = match check {
        Check::Full => "PRAGMA integrity_check(1)",
        Check::Quick => "PRAGMA quick_check(1)",
    };
    let verdict: String = sqlx::query(sql).fetch_one(readers).await?.try_get(0)?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(verdict)) }
}

/// How much of the file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Everything, indexes compared with their tables: after an unclean stop.
    Full,
    /// The structure: in the background, after any other start.
    Quick,
}

#[cfg(test)]
mod tests {
    use super::version_is_safe;

    #[test]
    fn releases_that_can_lose_committed_rows_are_refused() {
        for (version, safe) in
            [("3.51.2", false), ("3.51.3", true), ("3.53.0", true), ("3.40.1", false), ("odd", false)]
        {
            assert_eq!(version_is_safe(version), safe, "{version}");
        }
    }
}
