-- Clicks and forms that counted, by the hash of the identifier that Slack gave them: the same payload again counts for
-- nothing, also when what it did was taken back meanwhile.
CREATE TABLE interactions (
  key TEXT    NOT NULL PRIMARY KEY CHECK (length(key) = 64),
  at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX interactions_at ON interactions (at);
