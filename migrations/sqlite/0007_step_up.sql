-- An approver who authenticates anew at the OpenID provider before an approval counts. Short-lived: a row is of no
-- use after `expires_at` and is thrown away later. What people carry (the link, `state`, the form's token) is hashed.
CREATE TABLE step_ups (
  link_hash  TEXT PRIMARY KEY CHECK (length(link_hash) = 64),
  request_id TEXT NOT NULL REFERENCES access_requests (id),
  state_hash TEXT UNIQUE CHECK (state_hash IS NULL OR length(state_hash) = 64),
  csrf_hash  TEXT UNIQUE CHECK (csrf_hash IS NULL OR length(csrf_hash) = 64),
  stage      TEXT NOT NULL CHECK (stage IN ('opened', 'sent', 'proven', 'used')),
  expires_at INTEGER NOT NULL,
  body       TEXT NOT NULL
) STRICT;
CREATE INDEX step_ups_expired ON step_ups (expires_at);

CREATE TRIGGER step_ups_used BEFORE UPDATE ON step_ups WHEN OLD.stage = 'used'
BEGIN SELECT RAISE(ABORT, 'an authentication counts once'); END;
