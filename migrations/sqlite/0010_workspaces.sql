-- Several Slack workspaces. Where an access request, a review, a button or a Home names none, it is from when there was
-- only one: which that was, is kept in `facts` under `workspace` from the first start on, and what is looked up by its
-- workspace gets it then.
ALTER TABLE access_requests ADD COLUMN workspace TEXT;
ALTER TABLE reviews ADD COLUMN workspace TEXT;

CREATE TRIGGER access_requests_stay_there BEFORE UPDATE ON access_requests WHEN NEW.workspace IS NOT OLD.workspace
BEGIN SELECT RAISE(ABORT, 'an access request does not move to another workspace'); END;
CREATE TRIGGER reviews_stay_there BEFORE UPDATE ON reviews WHEN NEW.workspace IS NOT OLD.workspace
BEGIN SELECT RAISE(ABORT, 'a review does not move to another workspace'); END;

ALTER TABLE controls ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
DROP INDEX controls_of;
CREATE INDEX controls_of ON controls (workspace, slack_user, place, minted_at);

CREATE TABLE homes_of_workspaces (
  workspace    TEXT NOT NULL,
  slack_user   TEXT NOT NULL,
  principal    TEXT,
  view_id      TEXT,
  page         INTEGER NOT NULL DEFAULT 0 CHECK (page >= 0),
  opened_at    INTEGER NOT NULL,
  published_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (workspace, slack_user)
) STRICT, WITHOUT ROWID;
INSERT INTO homes_of_workspaces (workspace, slack_user, principal, view_id, page, opened_at, published_at)
SELECT '', slack_user, principal, view_id, page, opened_at, published_at FROM homes;
DROP TABLE homes;
ALTER TABLE homes_of_workspaces RENAME TO homes;
CREATE INDEX homes_of ON homes (workspace, principal) WHERE principal IS NOT NULL;
