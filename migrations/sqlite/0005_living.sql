-- What is asked for in Slack: by whom, and what a hook's call finds it by while it is pending.
ALTER TABLE access_requests ADD COLUMN asker TEXT;
ALTER TABLE access_requests ADD COLUMN email TEXT;
ALTER TABLE access_requests ADD COLUMN covers TEXT CHECK (covers IS NULL OR length(covers) = 64);

CREATE INDEX access_requests_covering ON access_requests (covers) WHERE covers IS NOT NULL AND state = 'pending';
CREATE INDEX access_requests_pending ON access_requests (id) WHERE state = 'pending';
CREATE INDEX access_requests_asker ON access_requests (asker, id) WHERE asker IS NOT NULL;
CREATE INDEX access_requests_subject ON access_requests (lower(subject), id) WHERE subject_kind = 'user';
CREATE INDEX access_requests_email ON access_requests (email, id) WHERE email IS NOT NULL;
CREATE INDEX votes_of ON votes (principal, request_id);

-- A grant that was asked for ahead is open until a call collects it; from then on it covers what that call is. When
-- its requester is to be told that it ends soon, it is due before its end.
ALTER TABLE grants ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open IN (0, 1));
ALTER TABLE grants ADD COLUMN warn_at INTEGER;

CREATE INDEX grants_live_requests ON grants (id) WHERE state = 'live' AND request_id IS NOT NULL;
CREATE INDEX grants_live_subject ON grants (lower(subject)) WHERE state = 'live' AND subject_kind = 'user';

DROP TRIGGER grants_final;
CREATE TRIGGER grants_final BEFORE UPDATE ON grants
WHEN (OLD.state <> 'live' AND NEW.state <> OLD.state) OR NEW.expires_at <> OLD.expires_at OR NEW.scopes <> OLD.scopes
  OR (NEW.coverage <> OLD.coverage AND NOT (OLD.open = 1 AND NEW.open = 0 AND OLD.used = 0)) OR NEW.open > OLD.open
  OR NEW.granted_at <> OLD.granted_at OR NEW.used < OLD.used
BEGIN SELECT RAISE(ABORT, 'a grant does not grow and does not come back'); END;

-- What the buttons of a direct message or of App Home carry, hashed: they count for one person only, and in Home for
-- one view.
CREATE TABLE controls (
  value_hash TEXT PRIMARY KEY CHECK (length(value_hash) = 64),
  slack_user TEXT NOT NULL,
  place      TEXT NOT NULL CHECK (place IN ('direct', 'home')),
  action     TEXT NOT NULL,
  request_id TEXT,
  grant_id   TEXT,
  minted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX controls_of ON controls (slack_user, place, minted_at);

-- The last direct message to the requester about an access request.
CREATE TABLE notices (
  request_id TEXT NOT NULL PRIMARY KEY,
  channel    TEXT NOT NULL,
  ts         TEXT NOT NULL,
  stage      TEXT NOT NULL,
  posted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whoever has opened App Home, what view that is, and which page of it they look at.
CREATE TABLE homes (
  slack_user   TEXT NOT NULL PRIMARY KEY,
  principal    TEXT,
  view_id      TEXT,
  page         INTEGER NOT NULL DEFAULT 0 CHECK (page >= 0),
  opened_at    INTEGER NOT NULL,
  published_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX homes_of ON homes (principal) WHERE principal IS NOT NULL;
