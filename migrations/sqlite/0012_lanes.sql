-- Finding the first row of each lane and class without reading the others.

CREATE INDEX outbox_lane_class ON outbox (lane, class, id) WHERE state = 'ready';
DROP INDEX outbox_lane;
DROP INDEX outbox_ready;
