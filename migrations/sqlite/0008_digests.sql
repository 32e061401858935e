-- Above the limit of cards for an approver, access requests share one card, their digest. Whom a card of its own asked
-- about which access request is counted for an hour.
CREATE TABLE cards_of_people (
  slack_user TEXT NOT NULL,
  request_id TEXT NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (slack_user, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_of_people_at ON cards_of_people (at);

CREATE TABLE digests (
  id        TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
  channel   TEXT NOT NULL,
  opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX digests_channel ON digests (channel, opened_at);

CREATE TABLE digest_requests (
  digest_id  TEXT NOT NULL REFERENCES digests (id),
  request_id TEXT NOT NULL REFERENCES access_requests (id),
  place      INTEGER NOT NULL CHECK (place >= 0),
  PRIMARY KEY (digest_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX digest_requests_of ON digest_requests (request_id);

CREATE TABLE digest_cards (
  channel   TEXT NOT NULL,
  ts        TEXT NOT NULL,
  digest_id TEXT NOT NULL REFERENCES digests (id),
  posted_at INTEGER NOT NULL,
  PRIMARY KEY (channel, ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX digest_cards_of ON digest_cards (digest_id);

-- What the buttons of a digest carry, hashed: they open the card of an access request and decide nothing. `ts` is the
-- one message they count on.
CREATE TABLE digest_buttons (
  value_hash TEXT NOT NULL PRIMARY KEY CHECK (length(value_hash) = 64),
  digest_id  TEXT NOT NULL REFERENCES digests (id),
  channel    TEXT NOT NULL,
  ts         TEXT,
  minted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER digest_buttons_bound BEFORE UPDATE ON digest_buttons
WHEN OLD.ts IS NOT NULL OR NEW.value_hash <> OLD.value_hash OR NEW.digest_id <> OLD.digest_id OR NEW.channel <> OLD.channel
BEGIN SELECT RAISE(ABORT, 'a bound button does not move'); END;
