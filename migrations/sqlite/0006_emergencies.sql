-- Reviews of broken glasses: durable, answered once, never removed.
CREATE TABLE reviews (
  id         TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
  grant_id   TEXT NOT NULL UNIQUE REFERENCES grants (id),
  state      TEXT NOT NULL CHECK (state IN ('open', 'answered')),
  opened_at  INTEGER NOT NULL,
  review_by  INTEGER NOT NULL,
  due_at     INTEGER,
  version    INTEGER NOT NULL CHECK (version >= 0),
  body       TEXT NOT NULL
) STRICT;
CREATE INDEX reviews_due ON reviews (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reviews_open ON reviews (review_by) WHERE state = 'open';

CREATE TRIGGER reviews_final BEFORE UPDATE ON reviews
WHEN OLD.state <> 'open' OR NEW.id <> OLD.id OR NEW.grant_id <> OLD.grant_id OR NEW.review_by <> OLD.review_by
BEGIN SELECT RAISE(ABORT, 'an answered review does not change'); END;
CREATE TRIGGER reviews_remain BEFORE DELETE ON reviews BEGIN SELECT RAISE(ABORT, 'a review is not deleted'); END;

-- What the two buttons of a review card carry, hashed. `ts` is the one message they count on.
CREATE TABLE review_buttons (
  value_hash TEXT NOT NULL PRIMARY KEY CHECK (length(value_hash) = 64),
  review_id  TEXT NOT NULL REFERENCES reviews (id),
  channel    TEXT NOT NULL,
  ts         TEXT,
  minted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER review_buttons_bound BEFORE UPDATE ON review_buttons
WHEN OLD.ts IS NOT NULL OR NEW.value_hash <> OLD.value_hash OR NEW.review_id <> OLD.review_id OR NEW.channel <> OLD.channel
BEGIN SELECT RAISE(ABORT, 'a bound button does not move'); END;

CREATE TABLE review_cards (
  channel   TEXT NOT NULL,
  ts        TEXT NOT NULL,
  review_id TEXT NOT NULL REFERENCES reviews (id),
  posted_at INTEGER NOT NULL,
  PRIMARY KEY (channel, ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX review_cards_review ON review_cards (review_id);

-- How often this was denied in a row, and until when the last of those denials cooled down.
ALTER TABLE cooldowns ADD COLUMN denials INTEGER NOT NULL DEFAULT 0 CHECK (denials >= 0);
ALTER TABLE cooldowns ADD COLUMN denied_until INTEGER;
CREATE INDEX cooldowns_until ON cooldowns (until);
