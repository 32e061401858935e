-- Deliveries are told apart by what they are: posts, edits, notes and direct messages have budgets of their own at
-- Slack, and new cards and edits go before notes. `unsure` says that an earlier attempt may have been done.
ALTER TABLE outbox ADD COLUMN class TEXT NOT NULL DEFAULT 'note' CHECK (class IN ('post', 'edit', 'note', 'direct'));
ALTER TABLE outbox ADD COLUMN urgency INTEGER NOT NULL DEFAULT 1;
ALTER TABLE outbox ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;

UPDATE outbox SET class = CASE json_extract(body, '$.kind')
  WHEN 'post_card' THEN 'post' WHEN 'refresh_cards' THEN 'edit' WHEN 'tell_requester' THEN 'direct' ELSE 'note' END;
UPDATE outbox SET urgency = 0 WHERE class IN ('post', 'edit');

DROP INDEX outbox_lane;
CREATE INDEX outbox_lane ON outbox (lane, urgency, id) WHERE state = 'ready';
