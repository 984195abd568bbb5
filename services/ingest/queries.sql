-- name: note_seen
INSERT INTO seen_events (identity, seen_at)
SELECT identity, $2::timestamptz FROM unnest($1::uuid[]) AS given (identity)
ORDER BY identity
ON CONFLICT DO NOTHING
RETURNING identity;

-- name: forget_seen
DELETE FROM seen_events
WHERE identity IN (SELECT identity FROM seen_events WHERE seen_at < $1 LIMIT $2);

-- name: unsee
DELETE FROM seen_events WHERE identity = ANY($1::uuid[]);

-- name: note_owners
INSERT INTO order_owner (shop, order_id, customer_id)
SELECT shop, order_id, customer_id
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (shop, order_id, customer_id)
ORDER BY shop, order_id
ON CONFLICT DO NOTHING;

-- name: owners
SELECT shop, order_id, customer_id
FROM order_owner
JOIN unnest($1::text[], $2::text[]) AS given (shop, order_id) USING (shop, order_id);

-- name: park
INSERT INTO parked (shop, order_id, topic, partition_number, record_offset, key, value, identity, parked_at)
SELECT shop, order_id, topic, partition_number, record_offset, key, value, identity, $9::timestamptz
FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bytea[], $7::bytea[], $8::uuid[])
    WITH ORDINALITY AS given (shop, order_id, topic, partition_number, record_offset, key, value, identity, place)
ORDER BY place;

-- name: take_parked_of
DELETE FROM parked
USING unnest($1::text[], $2::text[]) AS given (shop, order_id)
WHERE parked.shop = given.shop AND parked.order_id = given.order_id
RETURNING parked.*;

-- name: take_parked_with_owner
DELETE FROM parked
WHERE id IN (
    SELECT parked.id
    FROM parked
    JOIN order_owner USING (shop, order_id)
    ORDER BY parked.id
    LIMIT $1
    FOR UPDATE OF parked SKIP LOCKED
)
RETURNING parked.*;

-- name: take_parked_before
DELETE FROM parked
WHERE id IN (
    SELECT id
    FROM parked
    WHERE parked_at < $1
      AND NOT EXISTS (
          SELECT FROM order_owner AS owner WHERE owner.shop = parked.shop AND owner.order_id = parked.order_id
      )
    ORDER BY id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING parked.*;

-- name: count_parked
SELECT count(*) FROM parked;

-- name: lag
SELECT coalesce(sum(greatest(log_end - position, 0)), 0)::bigint FROM positions;

-- name: lock_newest
INSERT INTO newest AS mine (topic, key, version)
SELECT topic, key, -1 FROM unnest($1::text[], $2::bytea[]) AS given (topic, key)
ORDER BY topic, key
ON CONFLICT (topic, key) DO UPDATE SET version = mine.version
RETURNING topic, key, version;

-- name: raise_newest
UPDATE newest SET version = given.version
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS given (topic, key, version)
WHERE newest.topic = given.topic AND newest.key = given.key;
