-- An approval can be taken back while people still decide, and given again. Votes stay immutable: each has its
-- place among all votes of its request, and taking one back is a row of its own.
CREATE TABLE votes_by_place (
  request_id TEXT NOT NULL REFERENCES access_requests (id),
  place      INTEGER NOT NULL CHECK (place >= 0),
  principal  TEXT NOT NULL,
  slack_user TEXT NOT NULL,
  at         INTEGER NOT NULL,
  body       TEXT NOT NULL,
  PRIMARY KEY (request_id, place)
) STRICT, WITHOUT ROWID;

INSERT INTO votes_by_place (request_id, place, principal, slack_user, at, body)
SELECT request_id, row_number() OVER (PARTITION BY request_id ORDER BY at, principal) - 1, principal, slack_user, at, body
FROM votes;

DROP TABLE votes;
ALTER TABLE votes_by_place RENAME TO votes;

CREATE TABLE votes_taken_back (
  request_id TEXT NOT NULL,
  place      INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (request_id, place),
  FOREIGN KEY (request_id, place) REFERENCES votes (request_id, place)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER votes_stay BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'a vote does not change'); END;
CREATE TRIGGER votes_remain BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'a vote is not deleted'); END;
CREATE TRIGGER votes_taken_back_stay BEFORE UPDATE ON votes_taken_back
BEGIN SELECT RAISE(ABORT, 'what was taken back stays so'); END;
CREATE TRIGGER votes_taken_back_remain BEFORE DELETE ON votes_taken_back
BEGIN SELECT RAISE(ABORT, 'what was taken back stays so'); END;

-- One standing vote of a person, and of an account.
CREATE TRIGGER votes_once BEFORE INSERT ON votes
WHEN EXISTS (
  SELECT 1 FROM votes AS v
  WHERE v.request_id = NEW.request_id AND (v.principal = NEW.principal OR v.slack_user = NEW.slack_user)
    AND NOT EXISTS (SELECT 1 FROM votes_taken_back AS b WHERE b.request_id = v.request_id AND b.place = v.place)
)
BEGIN SELECT RAISE(ABORT, 'this person has voted'); END;

-- What a client had before: the last one first.
DROP INDEX grants_earlier;
CREATE INDEX grants_earlier ON grants (client, subject_kind, subject, granted_at);
