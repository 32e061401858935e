//! Several statements as one trip to SQLite's thread, each with what must come of it.
//!
//! A trip costs about as much as a small statement, and a click is a handful of them. The thread does not wait for
//! anybody between two statements: whatever must not follow a broken rule (a COMMIT) is never part of the script.

use futures_util::StreamExt;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type};

use super::StoreError;

/// What must come of a statement; otherwise all of the script failed with this error.
enum Rule {
    /// Nothing in particular.
    Runs,
    /// Exactly one row changes.
    ChangesOne(StoreError),
    /// There is a row.
    Finds(StoreError),
    /// No uniqueness rule stands against it.
    IsFirst(StoreError),
}

/// Statements in the order in which they run. Their text is made of constants; every value is an argument.
#[derive(Default)]
pub(super) struct Script {
    sql: String,
    arguments: SqliteArguments,
    rules: Vec<Rule>,
    unusable: Option<StoreError>,
}

/// Why a script did not run to its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// What had to run before it did not: the transaction cannot be trusted.
    Before(StoreError),
    /// One of its own statements broke its rule.
    Inside(StoreError),
}

impl Script {
    /// Adds a statement, with `?` for each value.
    pub(super) fn run(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.rules.push(Rule::Runs);
        self
    }

    /// The next value of the statement that was added last.
    pub(super) fn bind<'q, T: Encode<'q, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.unusable = Some(StoreError::Unusable(format!("a value cannot be written: {error}")));
        }
        self
    }

    /// The statement that was added last must change exactly one row.
    pub(super) fn changes_one_or(&mut self, otherwise: StoreError) {
        self.rule(Rule::ChangesOne(otherwise));
    }

    /// The statement that was added last must find a row.
    pub(super) fn finds_or(&mut self, otherwise: StoreError) {
        self.rule(Rule::Finds(otherwise));
    }

    /// The statement that was added last must not be stopped by a uniqueness rule.
    pub(super) fn is_first_or(&mut self, otherwise: StoreError) {
        self.rule(Rule::IsFirst(otherwise));
    }

    fn rule(&mut self, rule: Rule) {
        if let Some(last) = self.rules.last_mut() {
            *last = rule;
        }
    }

    /// Runs it after these statements, each of which ends with a semicolon.
    pub(super) async fn execute(self, conn: &mut SqliteConnection, before: &'static str) -> Result<(), Stopped> {
        if let Some(error) = self.unusable {
            return Err(Stopped::Before(error));
        }
        let mut left_before = before.matches(';').count();
        // Made of constants only, see `run`.
        let query = sqlx::query_with(AssertSqlSafe(format!("{before}{}", self.sql)), self.arguments);
        let mut results = conn.fetch_many(query);
        let (mut rules, mut found) = (self.rules.into_iter(), false);
        while let Some(result) = results.next().await {
            match result {
                Ok(Either::Right(_)) => found = true,
                Ok(Either::Left(_)) if left_before > 0 => left_before -= 1,
                Ok(Either::Left(done)) => {
                    let rule = rules.next().unwrap_or(Rule::Runs);
                    rule.judge(done.rows_affected(), found).map_err(Stopped::Inside)?;
                    found = false;
                }
                Err(error) if left_before > 0 => return Err(Stopped::Before(error.into())),
                Err(error) => return Err(Stopped::Inside(rules.next().unwrap_or(Rule::Runs).broken_by(error))),
            }
        }
        // A statement of which nothing was heard may not have run.
        let all_ran = left_before == 0 && rules.next().is_none();
        if all_ran { Ok(()) } else { Err(Stopped::Before(StoreError::Stopped)) }
    }
}

impl Stopped {
    /// The error itself, where it makes no difference.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Before(error) | Self::Inside(error) => error,
        }
    }
}

impl Rule {
    fn judge(self, changed: u64, found: bool) -> Result<(), StoreError> {
        match self {
            Self::ChangesOne(otherwise) if changed != 1 => Err(otherwise),
            Self::Finds(otherwise) if !found => Err(otherwise),
            Self::Runs | Self::ChangesOne(_) | Self::Finds(_) | Self::IsFirst(_) => Ok(()),
        }
    }

    fn broken_by(self, error: sqlx::Error) -> StoreError {
        let taken = error.as_database_error().is_some_and(|e| e.is_unique_violation());
        match self {
            Self::IsFirst(otherwise) if taken => otherwise,
            Self::Runs | Self::ChangesOne(_) | Self::Finds(_) | Self::IsFirst(_) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection;

    fn refused(what: &str) -> StoreError {
        StoreError::Unusable(what.to_owned())
    }

    async fn connection() -> SqliteConnection {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE loaves (name TEXT PRIMARY KEY, weight INTEGER); INSERT INTO loaves VALUES ('rye', 7)",
        )
        .execute(&mut conn)
        .await
        .unwrap();
        conn
    }

    /// What became of one statement with its rule, after `before`.
    async fn outcome(before: &'static str, write: impl FnOnce(&mut Script)) -> Result<(), Stopped> {
        let mut script = Script::default();
        write(&mut script);
        script.execute(&mut connection().await, before).await
    }

    #[tokio::test]
    async fn each_rule_holds_for_its_own_statement() {
        let weigh = |script: &mut Script, name: &'static str| {
            script
                .run("UPDATE loaves SET weight = ? WHERE name = ?")
                .bind(9)
                .bind(name)
                .changes_one_or(refused("gone"));
        };
        outcome("", |script| weigh(script, "rye")).await.unwrap();
        let stopped = outcome("", |script| {
            weigh(script, "rye");
            weigh(script, "spelt");
        });
        assert!(matches!(stopped.await, Err(Stopped::Inside(StoreError::Unusable(what))) if what == "gone"));

        let find = |script: &mut Script, name: &'static str| {
            script.run("SELECT 1 FROM loaves WHERE name = ?").bind(name).finds_or(refused("not there"));
        };
        outcome("", |script| find(script, "rye")).await.unwrap();
        let stopped = outcome("", |script| {
            find(script, "rye");
            find(script, "spelt");
        });
        assert!(matches!(stopped.await, Err(Stopped::Inside(StoreError::Unusable(what))) if what == "not there"));

        let bake = |script: &mut Script, name: &'static str| {
            script.run("INSERT INTO loaves VALUES (?, 1)").bind(name).is_first_or(refused("baked already"));
        };
        outcome("", |script| bake(script, "spelt")).await.unwrap();
        let stopped = outcome("", |script| bake(script, "rye")).await;
        assert!(matches!(stopped, Err(Stopped::Inside(StoreError::Unusable(what))) if what == "baked already"));
    }

    #[tokio::test]
    async fn what_fails_before_the_script_is_told_apart_from_what_fails_inside() {
        let look = |script: &mut Script| {
            script.run("SELECT 1 FROM loaves").finds_or(refused("empty"));
        };
        outcome("SAVEPOINT a;RELEASE a;", look).await.unwrap();
        assert!(matches!(outcome("RELEASE nothing;", look).await, Err(Stopped::Before(_))));
        let stopped = outcome("SAVEPOINT a;", |script| {
            script.run("SELECT 1 FROM cakes");
        });
        assert!(matches!(stopped.await, Err(Stopped::Inside(_))));
    }

    #[tokio::test]
    async fn a_row_that_an_earlier_statement_found_does_not_count_for_a_later_one() {
        let stopped = outcome("", |script| {
            script.run("SELECT 1 FROM loaves");
            script.run("SELECT 1 FROM loaves WHERE name = 'spelt'").finds_or(refused("not there"));
        });
        assert!(matches!(stopped.await, Err(Stopped::Inside(StoreError::Unusable(what))) if what == "not there"));
    }
}
