-- name: states
SELECT message_id, state, reason, attempts, provider, provider_reference, event IS NULL AS emptied FROM ledger;

-- name: forget_positions
DELETE FROM positions;

-- name: place
INSERT INTO positions (topic, partition_number, position, log_end, observed_at, behind_since, owner)
VALUES ($1, $2, 0, 0, $3, $4, gen_random_uuid())
ON CONFLICT (topic, partition_number) DO UPDATE
SET observed_at = excluded.observed_at, behind_since = excluded.behind_since;

-- name: put_back_hours
UPDATE positions SET observed_at = observed_at - make_interval(hours => $1);

-- name: told
SELECT value FROM outbox ORDER BY id;

-- name: thrown
SELECT value FROM outbox WHERE topic = $1 ORDER BY id;
