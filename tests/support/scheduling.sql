-- name: set_position
INSERT INTO positions (topic, partition_number, position, log_end, observed_at, owner)
VALUES ($1, $2, 5, 5, $3, gen_random_uuid())
ON CONFLICT (topic, partition_number) DO UPDATE SET observed_at = excluded.observed_at, behind_since = NULL;

-- name: forget_topic
DELETE FROM positions WHERE topic = $1;

-- name: set_behind
UPDATE positions SET behind_since = $2 WHERE topic = $1;

-- name: outbox_of
SELECT value FROM outbox WHERE topic = $1 ORDER BY id;

-- name: steps
SELECT * FROM due_steps ORDER BY next_at, message_id;

-- name: state
SELECT state FROM customers WHERE shop_id = $1 AND customer_id = $2;

-- name: decided
SELECT coalesce(sum(decisions), 0)::bigint FROM scheduler.tallies WHERE verdict <> 'defer';

-- name: hold_customers
SELECT FROM customers FOR UPDATE;

-- name: waiting_locks
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'journeys_in_force'::regclass;

-- name: versions
SELECT count(DISTINCT version) FROM publications;

-- name: derived_otherwise
UPDATE journeys_in_force SET fingerprint = 'of other software';

-- name: age_positions
UPDATE positions SET observed_at = observed_at - interval '1 minute';

-- name: change_publication
UPDATE publications SET why = 'another';

-- name: remove_publication
DELETE FROM publications;

-- name: change_release
UPDATE releases SET approved_by = 'another';

-- name: remove_release
DELETE FROM releases;

-- name: keep_journey
INSERT INTO scheduler.journeys (journey, version, body, published_at) VALUES ($1, $2, $3, $4);
