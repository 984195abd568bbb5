-- name: put
INSERT INTO outbox (topic, key, value)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]);

-- name: take
SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED;

-- name: remove
DELETE FROM outbox WHERE id = ANY($1::bigint[]);
