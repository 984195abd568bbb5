-- Times are parameters: business time for validity, machine time for leases and tries.

-- name: intend
INSERT INTO ledger (
    message_id, shop_id, customer_id, channel, journey, state, event, next_try, valid_until, requested_at, changed_at, priority
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11)
ON CONFLICT (message_id) DO NOTHING;

-- name: claim
-- The lines, found by leaps through the index: service messages before offers, and the shops of a channel in turns. Of each line
-- a few more rows are looked at than are wanted, since other workers may be taking the first. $11: channels, with how many each
-- has room for; $13: shops that may have no more than so many.
WITH RECURSIVE rooms AS MATERIALIZED (
    SELECT * FROM unnest($11::text[], $12::integer[]) AS rooms (channel, room)
), lines AS (
    SELECT rooms.channel, first.priority, first.shop_id, first.next_try
    FROM rooms
    CROSS JOIN LATERAL (
        SELECT priority, shop_id, next_try
        FROM ledger
        WHERE state = 'intended' AND channel = rooms.channel
        ORDER BY priority, shop_id, next_try
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT lines.channel, following.priority, following.shop_id, following.next_try
    FROM lines
    CROSS JOIN LATERAL (
        SELECT priority, shop_id, next_try
        FROM ledger
        WHERE state = 'intended' AND channel = lines.channel AND (priority, shop_id) > (lines.priority, lines.shop_id)
        ORDER BY priority, shop_id, next_try
        LIMIT 1
    ) AS following
), shared AS MATERIALIZED (
    SELECT
        lines.channel, lines.priority, lines.shop_id, wanted.most,
        greatest(wanted.most / count(*) OVER (PARTITION BY lines.channel, lines.priority), 1) AS share
    FROM lines
    INNER JOIN rooms USING (channel)
    CROSS JOIN LATERAL (SELECT CASE WHEN room < $6 THEN room ELSE 4 * $6::integer END AS most) AS wanted
    WHERE lines.next_try <= $4
), ready AS MATERIALIZED (
    SELECT
        due.message_id,
        shared.most,
        row_number() OVER (PARTITION BY shared.channel ORDER BY shared.priority, due.place) AS rank
    FROM shared
    LEFT JOIN unnest($13::text[], $14::integer[]) AS capped (shop_id, most) USING (shop_id)
    CROSS JOIN LATERAL (
        SELECT message_id, row_number() OVER (ORDER BY next_try) AS place
        FROM ledger
        WHERE state = 'intended'
            AND channel = shared.channel
            AND priority = shared.priority
            AND shop_id = shared.shop_id
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
        LIMIT least(shared.share, capped.most)
    ) AS due
), taken AS MATERIALIZED (
    SELECT mine.message_id
    FROM (SELECT message_id FROM ready WHERE rank <= most ORDER BY rank) AS ready
    CROSS JOIN LATERAL (
        SELECT message_id
        FROM ledger
        WHERE ledger.message_id = ready.message_id AND state = ANY ($2::text[])
        FOR UPDATE SKIP LOCKED
    ) AS mine
    LIMIT $6
)
UPDATE ledger
SET state = $1, worker = $3, lease_until = $5, claims = claims + 1, changed_at = $4
FROM taken
WHERE ledger.message_id = taken.message_id
RETURNING ledger.message_id, event, attempts, claims, provider, doubted;

-- name: positions
SELECT topic, partition_number AS partition, position, observed_at, behind_since
FROM positions
WHERE topic = ANY ($1::text[]);

-- name: hand_over
-- With the proof of consent beside it. What goes under a key goes to the provider that knows the key.
WITH going AS (
    SELECT *
    FROM unnest($7::uuid[], $8::text[], $9::bytea[], $10::jsonb[], $11::bigint[], $12::integer[])
        AS going (message_id, provider, address_hash, consent, consent_version, attempts)
), handed AS (
    UPDATE ledger
    SET state = $1, attempts = ledger.attempts + 1, provider = going.provider, reason = NULL, lease_until = $5, changed_at = $4,
        handed_over_at = $4, provider_reference = NULL
    FROM going
    WHERE ledger.message_id = going.message_id
        AND ledger.state = ANY ($2::text[])
        AND ledger.worker = $3
        AND ledger.attempts = going.attempts
        AND (ledger.once_until IS NULL OR ledger.provider = going.provider)
    RETURNING ledger.message_id, ledger.shop_id, ledger.customer_id, ledger.channel
), proven AS (
    INSERT INTO sends (
        shop_id, customer_id, message_id, channel, provider, address_hash, handed_over_at, consent, consent_version
    )
    SELECT shop_id, customer_id, message_id, channel, provider, address_hash, $6, consent, consent_version
    FROM handed
    INNER JOIN going USING (message_id)
    ON CONFLICT (shop_id, customer_id, message_id) DO UPDATE
    SET provider = excluded.provider, address_hash = excluded.address_hash, handed_over_at = excluded.handed_over_at,
        consent = excluded.consent, consent_version = excluded.consent_version
)
SELECT message_id
FROM handed;

-- name: move
-- What lost its content, since its customer was erased, cannot go again.
WITH found AS (
    SELECT message_id, ledger.state
    FROM ledger
    WHERE message_id = ANY ($4::uuid[]) AND state = ANY ($2::text[]) AND worker = $3 AND ($10 OR once_until IS NULL)
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
    doubted = doubted OR $1 = 'unknown',
    changed_at = $9
FROM found
INNER JOIN unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $11::integer[])
    AS moved (message_id, reason, reference, next_try, attempt) USING (message_id)
WHERE ledger.message_id = found.message_id
    AND (moved.attempt IS NULL OR ledger.attempts = moved.attempt)
    AND ($1 <> 'intended' OR ledger.event IS NOT NULL)
RETURNING ledger.message_id, ledger.shop_id, ledger.customer_id, ledger.channel, ledger.provider,
    ledger.provider_reference, ledger.reason, found.state AS came_from;

-- name: learn
-- What may go again is held by nobody, and may go anywhere, unless it goes under a key (`same_key`).
WITH found AS (
    SELECT message_id, ledger.state
    FROM ledger
    WHERE message_id = ANY ($3::uuid[]) AND state = ANY ($2::text[]) AND ($9::text IS NULL OR provider = $9)
    ORDER BY message_id
    FOR UPDATE
)
UPDATE ledger
SET state = $1,
    reason = CASE WHEN $1 = 'accepted' THEN NULL ELSE coalesce(learnt.reason, ledger.reason) END,
    provider_reference = coalesce(ledger.provider_reference, learnt.reference),
    next_try = coalesce(learnt.next_try, ledger.next_try),
    event = CASE WHEN $7 THEN NULL ELSE ledger.event END,
    worker = CASE WHEN $1 = 'intended' THEN NULL ELSE ledger.worker END,
    once_until = NULL,
    doubted = doubted AND $1 <> 'intended',
    lease_until = NULL,
    changed_at = $8
FROM found
INNER JOIN unnest($3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $10::integer[])
    AS learnt (message_id, reason, reference, next_try, attempt) USING (message_id)
WHERE ledger.message_id = found.message_id
    AND (learnt.attempt IS NULL OR ledger.attempts = learnt.attempt)
    AND ($1 <> 'intended' OR ledger.event IS NOT NULL)
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
    doubted = doubted OR $1 = 'unknown',
    changed_at = $3
FROM found
WHERE ledger.message_id = found.message_id
RETURNING ledger.message_id, shop_id, customer_id, channel, provider, provider_reference, reason;

-- name: renew
WITH mine AS (
    SELECT message_id
    FROM ledger
    WHERE message_id = ANY ($3::uuid[]) AND worker = $1 AND state IN ('claimed', 'handed_over')
    ORDER BY message_id
    FOR UPDATE
)
UPDATE ledger
SET lease_until = $2
FROM mine
WHERE ledger.message_id = mine.message_id;

-- name: left_behind
SELECT message_id, state
FROM ledger
WHERE worker = $1 AND state IN ('claimed', 'handed_over') AND message_id <> ALL ($2::uuid[]);

-- name: count_states
SELECT state, count(*) AS messages
FROM ledger
GROUP BY state;
