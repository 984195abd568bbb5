-- name: add_customers
INSERT INTO customers (shop_id, customer_id, partition_number, state)
SELECT shop_id, customer_id, partition_number, ''
FROM unnest($1::text[], $2::text[], $3::integer[]) AS seen (shop_id, customer_id, partition_number)
ORDER BY shop_id, customer_id
ON CONFLICT (shop_id, customer_id) DO NOTHING;

-- name: lock_customers
SELECT customers.shop_id, customers.customer_id, customers.partition_number, customers.state
FROM customers
JOIN unnest($1::text[], $2::text[]) AS wanted (shop_id, customer_id) USING (shop_id, customer_id)
ORDER BY customers.shop_id, customers.customer_id
FOR UPDATE OF customers;

-- name: lock_next
SELECT shop_id, customer_id, partition_number, state
FROM customers
WHERE (shop_id, customer_id) > ($1, $2) AND ($4::text[] IS NULL OR shop_id = ANY($4))
ORDER BY shop_id, customer_id
LIMIT $3
FOR UPDATE;

-- name: claim
-- The shops that have something due, found by leaps through the index, share the rows equally; one row of each comes first.
-- $8: how many rows are looked at for each customer wanted.
WITH RECURSIVE shops AS (
    (SELECT shop_id, next_at FROM due_steps ORDER BY shop_id, next_at LIMIT 1)
    UNION ALL
    SELECT following.shop_id, following.next_at
    FROM shops
    CROSS JOIN LATERAL (
        SELECT shop_id, next_at FROM due_steps WHERE shop_id > shops.shop_id ORDER BY shop_id, next_at LIMIT 1
    ) AS following
), paused AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[]) AS paused (shop_id, journey, channel)
), lines AS MATERIALIZED (
    SELECT shop_id, greatest($6 * $8::integer / count(*) OVER (), 1) AS share FROM shops WHERE next_at <= $1
), ready AS MATERIALIZED (
    SELECT lines.shop_id, overdue.customer_id, min(overdue.place) AS place
    FROM lines
    CROSS JOIN LATERAL (
        SELECT customer_id, row_number() OVER (ORDER BY next_at) AS place
        FROM due_steps
        WHERE due_steps.shop_id = lines.shop_id
            AND next_at <= $1
            AND next_at > $7
            AND partition_number = ANY($2::integer[])
            AND NOT EXISTS (
                SELECT FROM paused
                WHERE coalesce(paused.shop_id, due_steps.shop_id) = due_steps.shop_id
                    AND coalesce(paused.journey, due_steps.journey) = due_steps.journey
                    AND coalesce(paused.channel, due_steps.channel) = due_steps.channel
            )
        ORDER BY next_at
        LIMIT lines.share
    ) AS overdue
    GROUP BY lines.shop_id, overdue.customer_id
    ORDER BY place
)
SELECT claimed.shop_id, claimed.customer_id, claimed.partition_number, claimed.state
FROM ready
CROSS JOIN LATERAL (
    -- One by one in that order, whatever the planner thinks: it stops at the limit, and reads no other customer.
    SELECT shop_id, customer_id, partition_number, state
    FROM customers
    WHERE customers.shop_id = ready.shop_id AND customers.customer_id = ready.customer_id
    FOR UPDATE SKIP LOCKED
) AS claimed
LIMIT $6;

-- name: save_customers
UPDATE customers
SET state = changed.state
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS changed (shop_id, customer_id, state)
WHERE customers.shop_id = changed.shop_id AND customers.customer_id = changed.customer_id;

-- name: steps_of
SELECT due_steps.shop_id, due_steps.customer_id, message_id, due_at, next_at, attempt
FROM due_steps
JOIN unnest($1::text[], $2::text[]) AS wanted (shop_id, customer_id) USING (shop_id, customer_id);

-- name: remove_steps
DELETE FROM due_steps
USING unnest($1::text[], $2::text[]) AS wanted (shop_id, customer_id)
WHERE due_steps.shop_id = wanted.shop_id
    AND due_steps.customer_id = wanted.customer_id
    AND due_steps.message_id = ANY($3::uuid[]);

-- name: postpone
UPDATE due_steps
SET next_at = $4
FROM unnest($1::text[], $2::text[]) AS failing (shop_id, customer_id)
WHERE due_steps.shop_id = failing.shop_id AND due_steps.customer_id = failing.customer_id AND due_steps.next_at <= $3;

-- name: put_steps
INSERT INTO due_steps (
    message_id, shop_id, customer_id, partition_number, enrolment_id, journey, step, occurrence, channel,
    due_at, next_at, attempt
)
SELECT *
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::integer[], $5::uuid[], $6::text[], $7::text[], $8::integer[], $9::text[],
    $10::timestamptz[], $11::timestamptz[], $12::integer[]
)
ON CONFLICT (shop_id, customer_id, message_id) DO UPDATE
SET due_at = excluded.due_at, next_at = excluded.next_at, attempt = excluded.attempt;

-- name: positions
SELECT topic, partition_number, position, observed_at, behind_since FROM positions;

-- name: share_in_force
LOCK TABLE journeys_in_force IN ROW SHARE MODE;

-- name: enter_in_force
LOCK TABLE journeys_in_force IN ROW EXCLUSIVE MODE;

-- name: lock_in_force
LOCK TABLE journeys_in_force IN EXCLUSIVE MODE;

-- name: in_force
SELECT fingerprint, reached_shop, reached_customer, complete, shops, gained, lost, moved FROM journeys_in_force;

-- name: lock_reached
SELECT fingerprint, reached_shop, reached_customer, complete, shops, gained, lost, moved FROM journeys_in_force FOR UPDATE;

-- name: put_in_force
INSERT INTO journeys_in_force (fingerprint, since, shops, complete)
VALUES ($1, $2, $3, $4)
ON CONFLICT (only_row) DO UPDATE
SET fingerprint = excluded.fingerprint, since = excluded.since, shops = excluded.shops, complete = excluded.complete,
    reached_shop = '', reached_customer = '', gained = 0, lost = 0, moved = 0;

-- name: advance_in_force
UPDATE journeys_in_force
SET reached_shop = $1, reached_customer = $2, complete = $3, gained = gained + $4, lost = lost + $5, moved = moved + $6;

-- name: put_publication
INSERT INTO publications (
    kind, shop, name, version, body, waiting, why, published_by, published_at, recorded_at, needs_approval
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING seq;

-- name: release
INSERT INTO releases (publication, approved_by, in_force_at, recorded_at) VALUES ($1, $2, $3, $4);

-- name: publications
SELECT
    seq, kind, shop, name, version, body, waiting, why, published_by, published_at, needs_approval,
    place, approved_by, in_force_at
FROM publications
LEFT JOIN releases ON publication = seq
WHERE ($1::text IS NULL OR name = $1) AND ($2::boolean IS NULL OR (place IS NOT NULL) = $2)
ORDER BY place NULLS LAST, seq;

-- name: publication
SELECT
    seq, kind, shop, name, version, body, waiting, why, published_by, published_at, needs_approval,
    place, approved_by, in_force_at
FROM publications
LEFT JOIN releases ON publication = seq
WHERE seq = $1;

-- name: tally
INSERT INTO tallies (slot, verdict, reason, decisions)
SELECT $1, verdict, reason, decisions
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS new (verdict, reason, decisions)
ORDER BY verdict, reason
ON CONFLICT (slot, verdict, reason) DO UPDATE SET decisions = tallies.decisions + excluded.decisions;

-- name: tallies
SELECT verdict, reason, sum(decisions)::bigint AS decisions FROM tallies GROUP BY verdict, reason ORDER BY verdict, reason;

-- name: count_steps
SELECT
    count(*) FILTER (WHERE next_at > $1) AS waiting,
    count(*) FILTER (WHERE next_at <= $1) AS overdue,
    count(*) FILTER (WHERE attempt > 0) AS deferred,
    count(*) FILTER (WHERE next_at <= $1 AND attempt = 0) AS undecided,
    count(*) FILTER (WHERE next_at <= $2) AS catching_up
FROM due_steps;

-- name: count_outbox
SELECT count(*) AS waiting FROM outbox;
