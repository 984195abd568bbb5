-- name: consumed
SELECT coalesce(sum(position), 0)::bigint FROM scheduler.positions WHERE topic = ANY($1::text[]);

-- name: unfinished
SELECT
    (SELECT count(*) FROM scheduler.due_steps WHERE next_at <= $1)
    + (SELECT count(*) FROM scheduler.outbox);

-- name: free
SELECT count(*)
FROM (
    SELECT FROM scheduler.customers
    JOIN scheduler.due_steps USING (shop_id, customer_id)
    WHERE next_at <= $1
    FOR UPDATE OF customers SKIP LOCKED
) AS not_held;

-- name: decisions
SELECT coalesce(sum(decisions), 0)::bigint FROM scheduler.tallies;
