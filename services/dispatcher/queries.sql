-- Times are parameters: business time for validity, machine time for leases and tries.

-- name: intend
INSERT INTO ledger (
    message_id, shop_id, customer_id, channel, journey, state, event, next_try, valid_until, requested_at, changed_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8)
ON CONFLICT (message_id) DO NOTHING;

-- name: put_consent
INSERT INTO consents AS mine (shop_id, customer_id, version, consent)
VALUES ($1, $2, $3, $4)
ON CONFLICT (shop_id, customer_id) DO UPDATE
SET version = excluded.version, consent = excluded.consent
WHERE mine.version < excluded.version;

-- name: erase_consent
INSERT INTO consents (shop_id, customer_id, version, consent)
VALUES ($1, $2, 0, '{}')
ON CONFLICT (shop_id, customer_id) DO UPDATE SET version = 0, consent = '{}';

-- name: suppress
INSERT INTO suppressions AS mine (shop_id, customer_id, channel, since, reason)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (shop_id, customer_id, channel) DO UPDATE
SET since = excluded.since, reason = excluded.reason
WHERE mine.since < excluded.since;

-- name: standings
SELECT consents.shop_id, consents.customer_id, consents.consent, suppressions.channel, suppressions.since
FROM consents
LEFT JOIN suppressions USING (shop_id, customer_id)
WHERE (consents.shop_id, consents.customer_id) IN (SELECT * FROM unnest($1::text[], $2::text[]));

-- name: claim
UPDATE ledger
SET state = $1, worker = $3, lease_until = $5, claims = claims + 1, changed_at = $4
WHERE message_id IN (
    SELECT message_id
    FROM ledger
    WHERE state = 'intended'
        AND state = ANY ($2::text[])
        AND next_try <= $4
        AND (
            valid_until < $7
            OR NOT EXISTS (
                SELECT FROM unnest($8::text[], $9::text[], $10::text[]) AS paused (shop_id, journey, channel)
                WHERE coalesce(paused.shop_id, ledger.shop_id) = ledger.shop_id
                    AND coalesce(paused.journey, ledger.journey) = ledger.journey
                    AND coalesce(paused.channel, ledger.channel) = ledger.channel
            )
        )
    ORDER BY next_try
    LIMIT $6
    FOR UPDATE SKIP LOCKED
)
RETURNING message_id, event, attempts, claims;

-- name: positions
SELECT topic, partition_number AS partition, position, observed_at, behind_since
FROM positions
WHERE topic = ANY ($1::text[]);

-- name: hand_over
UPDATE ledger
SET state = $1, attempts = attempts + 1, provider = handed.provider, reason = NULL, lease_until = $5, changed_at = $4
FROM unnest($6::uuid[], $7::text[]) AS handed (message_id, provider)
WHERE ledger.message_id = handed.message_id AND ledger.state = ANY ($2::text[]) AND ledger.worker = $3
RETURNING ledger.message_id;

-- name: move
WITH found AS (
    SELECT message_id, ledger.state
    FROM ledger
    WHERE message_id = ANY ($4::uuid[]) AND state = ANY ($2::text[]) AND worker = $3
    ORDER BY message_id
    FOR UPDATE
)
UPDATE ledger
SET state = $1,
    reason = moved.reason,
    provider_reference = coalesce(moved.reference, ledger.provider_reference),
    next_try = coalesce(moved.next_try, ledger.next_try),
    event = CASE WHEN $8 THEN NULL ELSE ledger.event END,
    worker = CASE WHEN $1 = 'intended' THEN NULL ELSE ledger.worker END,
    lease_until = NULL,
    changed_at = $9
FROM found
INNER JOIN unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[]) AS moved (message_id, reason, reference, next_try)
    USING (message_id)
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id, ledger.shop_id, ledger.customer_id, ledger.channel, ledger.provider,
    ledger.provider_reference, ledger.reason, found.state AS came_from;

-- name: expire
WITH found AS (
    SELECT message_id
    FROM ledger
    WHERE state IN ('claimed', 'handed_over') AND state = ANY ($2::text[]) AND lease_until < $3
    ORDER BY message_id
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
UPDATE ledger
SET state = $1,
    reason = $4,
    worker = CASE WHEN $1 = 'intended' THEN NULL ELSE worker END,
    lease_until = NULL,
    changed_at = $3
FROM found
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id, shop_id, customer_id, channel, provider, provider_reference, reason;

-- name: renew
UPDATE ledger
SET lease_until = $2
WHERE message_id = ANY ($3::uuid[]) AND worker = $1 AND state IN ('claimed', 'handed_over');

-- name: left_behind
SELECT message_id, state
FROM ledger
WHERE worker = $1 AND state IN ('claimed', 'handed_over') AND message_id <> ALL ($2::uuid[]);

-- name: confirm
WITH found AS (
    SELECT message_id, ledger.state
    FROM ledger
    WHERE message_id = ANY ($3::uuid[]) AND state = ANY ($2::text[])
    ORDER BY message_id
    FOR UPDATE
)
UPDATE ledger
SET state = $1, event = NULL, lease_until = NULL, changed_at = $4
FROM found
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id, shop_id, customer_id, channel, provider, provider_reference, reason,
    found.state AS came_from;

-- name: count_states
SELECT state, count(*) AS messages
FROM ledger
GROUP BY state;

-- name: list_unknown
SELECT message_id, shop_id, customer_id, channel, reason, provider, attempts, requested_at, valid_until, changed_at
FROM ledger
WHERE state = 'unknown'
ORDER BY changed_at, message_id;
