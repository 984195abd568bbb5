-- A parked record that becomes a dead letter is forgotten in seen_events, so that it can be sent again. What was parked
-- before this column gets an identity that no event has, and stays known as seen.
ALTER TABLE parked ADD COLUMN identity uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE parked ALTER COLUMN identity DROP DEFAULT;
