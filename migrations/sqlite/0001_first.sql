-- Times are milliseconds since 1970, UTC. `body` is the JSON of the domain type; the columns beside it are what
-- is searched, constrained or counted, and a row whose columns and body disagree is an error, never a guess.

-- Rows with a body are too long for WITHOUT ROWID: they would reach into overflow pages, which every change of a
-- counter writes anew.
CREATE TABLE access_requests (
  id            TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
  hook          TEXT NOT NULL,
  client        TEXT NOT NULL,
  subject_kind  TEXT NOT NULL CHECK (subject_kind IN ('user', 'client')),
  subject       TEXT NOT NULL,
  pending_key   TEXT NOT NULL CHECK (length(pending_key) = 64),
  state         TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled')),
  shown_version INTEGER NOT NULL CHECK (shown_version >= 1),
  opened_at     INTEGER NOT NULL,
  decide_by     INTEGER NOT NULL,
  due_at        INTEGER,
  version       INTEGER NOT NULL CHECK (version >= 0),
  body          TEXT NOT NULL
) STRICT;

-- One pending access request for the same token request, whatever arrives at the same instant.
CREATE UNIQUE INDEX access_requests_pending_once ON access_requests (pending_key) WHERE state = 'pending';
CREATE INDEX access_requests_due ON access_requests (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX access_requests_pending_subject ON access_requests (hook, subject_kind, subject) WHERE state = 'pending';
CREATE INDEX access_requests_opened ON access_requests (opened_at, id);

CREATE TRIGGER access_requests_final BEFORE UPDATE ON access_requests
WHEN OLD.state <> 'pending' AND NEW.state <> OLD.state
BEGIN SELECT RAISE(ABORT, 'a settled access request does not change'); END;

CREATE TRIGGER access_requests_identity BEFORE UPDATE ON access_requests
WHEN NEW.id <> OLD.id OR NEW.hook <> OLD.hook OR NEW.client <> OLD.client OR NEW.subject <> OLD.subject
  OR NEW.pending_key <> OLD.pending_key OR NEW.opened_at <> OLD.opened_at OR NEW.version <= OLD.version
BEGIN SELECT RAISE(ABORT, 'what was asked does not change'); END;

CREATE TABLE votes (
  request_id TEXT NOT NULL REFERENCES access_requests (id),
  principal  TEXT NOT NULL,
  slack_user TEXT NOT NULL,
  at         INTEGER NOT NULL,
  body       TEXT NOT NULL,
  PRIMARY KEY (request_id, principal),
  UNIQUE (request_id, slack_user)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER votes_stay BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'a vote does not change'); END;
CREATE TRIGGER votes_remain BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'a vote is not deleted'); END;

CREATE TABLE grants (
  id                    TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
  request_id            TEXT UNIQUE REFERENCES access_requests (id),
  hook                  TEXT NOT NULL,
  client                TEXT NOT NULL,
  subject_kind          TEXT NOT NULL CHECK (subject_kind IN ('user', 'client')),
  subject               TEXT NOT NULL,
  coverage              TEXT NOT NULL CHECK (length(coverage) = 64),
  scopes                TEXT NOT NULL,
  granted_at            INTEGER NOT NULL,
  expires_at            INTEGER NOT NULL,
  collect_by            INTEGER,
  max_uses              INTEGER CHECK (max_uses >= 1),
  used                  INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0 AND (max_uses IS NULL OR used <= max_uses)),
  last_use_at           INTEGER,
  last_use_fingerprint  TEXT,
  last_token_expires_at INTEGER,
  state                 TEXT NOT NULL CHECK (state IN ('live', 'revoked', 'ended')),
  due_at                INTEGER,
  version               INTEGER NOT NULL CHECK (version >= 0),
  body                  TEXT NOT NULL
) STRICT;

CREATE INDEX grants_covering ON grants (coverage, expires_at) WHERE state = 'live';
CREATE INDEX grants_due ON grants (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX grants_earlier ON grants (client, subject_kind, subject);
CREATE INDEX grants_granted ON grants (granted_at, id);

CREATE TRIGGER grants_final BEFORE UPDATE ON grants
WHEN (OLD.state <> 'live' AND NEW.state <> OLD.state) OR NEW.expires_at <> OLD.expires_at OR NEW.scopes <> OLD.scopes
  OR NEW.coverage <> OLD.coverage OR NEW.granted_at <> OLD.granted_at OR NEW.used < OLD.used
BEGIN SELECT RAISE(ABORT, 'a grant does not grow and does not come back'); END;

-- What is refused without asking, after a denial or a revocation.
CREATE TABLE cooldowns (
  hook         TEXT NOT NULL,
  client       TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject      TEXT NOT NULL,
  audience     TEXT NOT NULL,
  scope        TEXT NOT NULL,
  until        INTEGER NOT NULL,
  cause        TEXT NOT NULL CHECK (cause IN ('denied', 'revoked')),
  PRIMARY KEY (hook, client, subject_kind, subject, audience, scope)
) STRICT, WITHOUT ROWID;

-- The same identifier and body is the same call; the same identifier with another body is refused.
CREATE TABLE hook_calls (
  hook       TEXT NOT NULL,
  call_id    TEXT NOT NULL,
  body_hash  TEXT NOT NULL,
  at         INTEGER NOT NULL,
  grant_id   TEXT,
  PRIMARY KEY (hook, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_calls_at ON hook_calls (at);

-- What a button carries, hashed, with what it was made for. `ts` is the one message it counts on.
CREATE TABLE buttons (
  value_hash    TEXT PRIMARY KEY CHECK (length(value_hash) = 64),
  request_id    TEXT NOT NULL REFERENCES access_requests (id),
  shown_version INTEGER NOT NULL,
  channel       TEXT NOT NULL,
  ts            TEXT,
  minted_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX buttons_request ON buttons (request_id);

CREATE TRIGGER buttons_bound BEFORE UPDATE ON buttons
WHEN OLD.ts IS NOT NULL OR NEW.value_hash <> OLD.value_hash OR NEW.request_id <> OLD.request_id
  OR NEW.shown_version <> OLD.shown_version OR NEW.channel <> OLD.channel
BEGIN SELECT RAISE(ABORT, 'a bound button does not move'); END;

CREATE TABLE cards (
  channel    TEXT NOT NULL,
  ts         TEXT NOT NULL,
  request_id TEXT NOT NULL REFERENCES access_requests (id),
  posted_at  INTEGER NOT NULL,
  PRIMARY KEY (channel, ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_request ON cards (request_id);

CREATE TABLE audit (
  seq        INTEGER PRIMARY KEY,
  at         INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  request_id TEXT,
  grant_id   TEXT,
  body       TEXT NOT NULL,
  previous   TEXT NOT NULL CHECK (length(previous) = 64),
  hash       TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;
CREATE INDEX audit_request ON audit (request_id) WHERE request_id IS NOT NULL;

CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TABLE outbox (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  lane        TEXT NOT NULL,
  request_id  TEXT NOT NULL,
  body        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('ready', 'dead')),
  not_before  INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  lease       TEXT,
  last_error  TEXT,
  created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_ready ON outbox (not_before, id) WHERE state = 'ready';
CREATE INDEX outbox_request ON outbox (request_id, lane, id) WHERE state = 'ready';
CREATE INDEX outbox_lane ON outbox (lane, id) WHERE state = 'ready';
CREATE INDEX outbox_held ON outbox (lane) WHERE state = 'ready' AND lease IS NOT NULL;

CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
