-- name: keep
INSERT INTO short_links (code, message_id, shop_id, customer_id, channel, target, expires_at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
ON CONFLICT (code) DO NOTHING;

-- name: find
SELECT code, message_id, shop_id, customer_id, channel, target, expires_at, clicked_at
FROM short_links
WHERE code = $1;

-- name: click
UPDATE short_links
SET clicked_at = $2
WHERE code = $1 AND clicked_at IS NULL
RETURNING code;

-- name: sweep
DELETE FROM short_links
WHERE code IN (
    SELECT code
    FROM short_links
    WHERE expires_at < $1
    ORDER BY expires_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING code;

-- name: forget
DELETE FROM short_links
WHERE shop_id = $1 AND customer_id = $2;
