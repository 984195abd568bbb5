-- name: add_counts
INSERT INTO guard_counts (
    shop_id, journey, step, channel, place, day, since, slot, sends, opens, unsubscribes, complaints, bounces
)
SELECT shop_id, journey, step, channel, place, day, since, $1, sends, opens, unsubscribes, complaints, bounces
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::date[], $8::timestamptz[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]
) AS new (shop_id, journey, step, channel, place, day, since, sends, opens, unsubscribes, complaints, bounces)
ORDER BY day, shop_id, journey, step, channel, place, since
ON CONFLICT (day, shop_id, journey, step, channel, place, since, slot) DO UPDATE
SET sends = guard_counts.sends + excluded.sends,
    opens = guard_counts.opens + excluded.opens,
    unsubscribes = guard_counts.unsubscribes + excluded.unsubscribes,
    complaints = guard_counts.complaints + excluded.complaints,
    bounces = guard_counts.bounces + excluded.bounces;

-- name: counts
SELECT
    shop_id, journey, step, channel, place, day, since,
    sum(sends)::bigint AS sends, sum(opens)::bigint AS opens, sum(unsubscribes)::bigint AS unsubscribes,
    sum(complaints)::bigint AS complaints, sum(bounces)::bigint AS bounces
FROM guard_counts
WHERE day >= $1
GROUP BY shop_id, journey, step, channel, place, day, since;

-- name: forget_counts
DELETE FROM guard_counts WHERE day < $1;

-- name: put_trip
INSERT INTO guard_trips (shop_id, journey, since, tripped_at, breached, why)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (shop_id, journey, since) DO NOTHING
RETURNING true AS tripped;

-- name: any_overdue
-- By leaps through the index, from shop to shop.
WITH RECURSIVE shops AS (
    (SELECT shop_id, next_at FROM due_steps ORDER BY shop_id, next_at LIMIT 1)
    UNION ALL
    SELECT following.shop_id, following.next_at
    FROM shops
    CROSS JOIN LATERAL (
        SELECT shop_id, next_at FROM due_steps WHERE shop_id > shops.shop_id ORDER BY shop_id, next_at LIMIT 1
    ) AS following
)
SELECT EXISTS (SELECT FROM shops WHERE next_at <= $1);

-- name: look_at_catch_up
SELECT tokens, counted_at FROM catch_up FOR UPDATE SKIP LOCKED;

-- name: put_catch_up
UPDATE catch_up SET tokens = $1, counted_at = $2;

-- name: give_back_catch_up
UPDATE catch_up SET tokens = least(tokens + $1, $2);
