-- name: answer
SELECT reason, message_id, body, expires_at, accepted_at
FROM page_answers
WHERE shop_id = $1 AND customer_id = $2 AND order_id = $3;

-- name: begin
-- One trip to begin and to keep what is in force: see migrations/0002_journeys_in_force.sql.
-- Nobody waits that long: a page is answered within its deadline.
BEGIN;
SET LOCAL lock_timeout = '1s';
LOCK TABLE journeys_in_force IN ROW SHARE MODE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: lock_customer
SELECT partition_number, state, (SELECT fingerprint FROM journeys_in_force) AS fingerprint
FROM customers
WHERE shop_id = $1 AND customer_id = $2
FOR UPDATE OF customers;

-- name: positions
SELECT topic, partition_number, position, observed_at, behind_since
FROM positions
WHERE partition_number = $1;

-- name: write
-- All that a decided page leaves behind, in one trip. The tally comes with it, so that its row is held for a commit only.
WITH saved AS (
    UPDATE customers SET state = $3 WHERE shop_id = $1 AND customer_id = $2
), told AS (
    INSERT INTO outbox (topic, key, value)
    SELECT * FROM unnest($10::text[], $11::bytea[], $12::bytea[])
), counted AS (
    INSERT INTO tallies (slot, verdict, reason, decisions)
    SELECT $13, verdict, reason, decisions
    FROM unnest($14::text[], $15::text[], $16::bigint[]) AS new (verdict, reason, decisions)
    ORDER BY verdict, reason
    ON CONFLICT (slot, verdict, reason) DO UPDATE SET decisions = tallies.decisions + excluded.decisions
)
INSERT INTO page_answers (
    shop_id, customer_id, order_id, decided_at, reason, message_id, body, expires_at
)
VALUES ($1, $2, $4, $5, $6, $7, $8, $9);

-- name: lock_offer
SELECT shop_id, customer_id, order_id, body, expires_at, accepted_at
FROM page_answers
WHERE message_id = $1
FOR UPDATE;

-- name: accept
UPDATE page_answers SET accepted_at = $2 WHERE message_id = $1;

-- name: forget_answers
DELETE FROM page_answers WHERE decided_at < $1;

-- name: put_webhook
INSERT INTO webhooks (webhook_id, shop_id, body, created_at, next_at)
VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (webhook_id) DO NOTHING;

-- name: take_webhooks
WITH ready AS MATERIALIZED (
    SELECT webhook_id
    FROM webhooks
    JOIN unnest($3::text[], $4::text[]) AS address (shop_id, url) USING (shop_id)
    WHERE state = 'waiting'
        AND next_at <= $1
        AND NOT EXISTS (
            SELECT FROM webhook_addresses_gone AS gone
            WHERE gone.shop_id = address.shop_id AND gone.url = address.url
        )
    ORDER BY next_at
    LIMIT $5
    FOR UPDATE OF webhooks SKIP LOCKED
)
UPDATE webhooks
SET attempts = attempts + 1, next_at = $2
FROM ready
WHERE webhooks.webhook_id = ready.webhook_id
RETURNING webhooks.webhook_id, webhooks.shop_id, webhooks.body, webhooks.attempts;

-- name: settle_webhook
UPDATE webhooks
SET state = $3, next_at = $4, outcome = $5
WHERE webhook_id = $1 AND attempts = $2 AND state = 'waiting';

-- name: address_is_gone
INSERT INTO webhook_addresses_gone (shop_id, url, gone_at)
VALUES ($1, $2, $3)
ON CONFLICT (shop_id, url) DO NOTHING;

-- name: enable_addresses
DELETE FROM webhook_addresses_gone WHERE shop_id = $1;

-- name: undelivered
SELECT webhook_id, shop_id, created_at, state, attempts, next_at, outcome,
    EXISTS (SELECT FROM webhook_addresses_gone AS gone WHERE gone.shop_id = webhooks.shop_id) AS address_gone
FROM webhooks
WHERE state <> 'done'
ORDER BY created_at, webhook_id
LIMIT $1;

-- name: count_webhooks
SELECT state, count(*) AS webhooks FROM webhooks GROUP BY state ORDER BY state;

-- name: redeliver
UPDATE webhooks
SET state = 'waiting', attempts = 0, next_at = $2
WHERE state = 'failed' AND ($1::text IS NULL OR webhook_id = $1);

-- name: forget_webhooks
DELETE FROM webhooks WHERE created_at < $1 AND state = 'done';
