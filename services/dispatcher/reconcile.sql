-- Machine time, save `$2` of `same_key` and of `resend`.

-- name: take
-- Unknown messages whose time to be looked into has come; the next time doubles with each, from $3 seconds to an hour.
WITH due AS (
    SELECT message_id
    FROM ledger
    WHERE state = 'unknown' AND next_try <= $1 AND coalesce(handed_over_at, changed_at) <= $2
    ORDER BY next_try
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE ledger
SET asks = asks + 1, next_try = $1 + least($3 * power(2, least(asks, 20)), 3600) * interval '1 second'
FROM due
WHERE ledger.message_id = due.message_id
RETURNING ledger.message_id, ledger.channel, ledger.provider, ledger.provider_reference, ledger.event, ledger.attempts,
    ledger.valid_until, coalesce(ledger.handed_over_at, ledger.changed_at) AS handed_over_at, ledger.once_until;

-- name: same_key
WITH found AS (
    SELECT message_id
    FROM ledger
    WHERE message_id = ANY ($3::uuid[]) AND state = ANY ($4::text[]) AND event IS NOT NULL AND valid_until > $2 AND attempts = $7
    ORDER BY message_id
    FOR UPDATE
)
UPDATE ledger
SET state = $5, next_try = $1, changed_at = $1, worker = NULL, lease_until = NULL,
    once_until = coalesce(once_until, coalesce(handed_over_at, changed_at) + $6)
FROM found
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id;

-- name: key_ran_out
WITH found AS (
    SELECT message_id
    FROM ledger
    WHERE state = 'intended' AND state = ANY ($2::text[]) AND once_until < $1
    ORDER BY message_id
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
UPDATE ledger
SET state = $3, reason = 'key_ran_out', changed_at = $1
FROM found
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id, shop_id, customer_id, channel, provider, provider_reference, reason;

-- name: forget_erased
UPDATE ledger
SET event = NULL
FROM consents
WHERE ledger.state = 'unknown' AND ledger.event IS NOT NULL
    AND consents.shop_id = ledger.shop_id AND consents.customer_id = ledger.customer_id
    AND consents.version = 0 AND consents.consent = '{}';

-- name: ages
SELECT
    count(*) FILTER (WHERE coalesce(handed_over_at, changed_at) > $1) AS under_hour,
    count(*) FILTER (WHERE coalesce(handed_over_at, changed_at) BETWEEN $2 AND $1) AS under_day,
    count(*) FILTER (WHERE coalesce(handed_over_at, changed_at) < $2) AS older,
    count(*) FILTER (WHERE coalesce(handed_over_at, changed_at) < $3) AS listed
FROM ledger
WHERE state = 'unknown';
