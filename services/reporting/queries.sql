-- name: put_decision
INSERT INTO decisions (
    decision_id, message_id, shop, customer_id, journey, step, channel, attempt, due_at, decided_at, verdict, reason,
    record
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (decision_id) DO UPDATE SET conflicting = true
WHERE decisions.record IS DISTINCT FROM excluded.record AND NOT decisions.conflicting;

-- name: put_engagement
INSERT INTO engagement (
    shop, event_id, provider_reference, customer_id, message_id, channel, kind, occurred_at, reason, answer, provider
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING;

-- name: put_send
INSERT INTO sends AS kept (shop, message_id, accepted_at, rejected_at, withheld_at, unknown_at, bounced_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (shop, message_id) DO UPDATE SET
    accepted_at = least(kept.accepted_at, excluded.accepted_at),
    rejected_at = least(kept.rejected_at, excluded.rejected_at),
    withheld_at = least(kept.withheld_at, excluded.withheld_at),
    unknown_at = least(kept.unknown_at, excluded.unknown_at),
    bounced_at = least(kept.bounced_at, excluded.bounced_at);

-- name: put_order
INSERT INTO orders AS kept (
    shop, order_id, customer_id, version, changed_at, placed_at, status, test, history, currency, total, lines
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (shop, order_id) DO UPDATE SET
    customer_id = excluded.customer_id, version = excluded.version, changed_at = excluded.changed_at,
    placed_at = excluded.placed_at, status = excluded.status, test = excluded.test, history = excluded.history,
    currency = excluded.currency, total = excluded.total, lines = excluded.lines
WHERE (excluded.version, excluded.changed_at) > (kept.version, kept.changed_at);

-- name: put_return
INSERT INTO returns AS kept (shop, return_id, order_id, version, occurred_at, status, refund, lines)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (shop, return_id) DO UPDATE SET
    order_id = excluded.order_id, version = excluded.version, occurred_at = excluded.occurred_at,
    status = excluded.status, refund = excluded.refund, lines = excluded.lines
WHERE (excluded.version, excluded.occurred_at) > (kept.version, kept.occurred_at);

-- name: shops
SELECT shop FROM orders UNION SELECT shop FROM decisions ORDER BY shop;

-- name: order_counts
SELECT
    count(*) FILTER (WHERE NOT history AND NOT test) AS live,
    count(*) FILTER (WHERE NOT history AND NOT test AND status <> 'placed') AS cancelled,
    count(*) FILTER (WHERE test) AS test,
    count(*) FILTER (WHERE history AND NOT test) AS history
FROM orders
WHERE ($1::text IS NULL OR shop = $1)
    AND ($2::timestamptz IS NULL OR placed_at >= $2)
    AND ($3::timestamptz IS NULL OR placed_at < $3);

-- name: occurrence_counts
SELECT
    o.journey, o.step, o.channel, o.verdict, o.reason,
    CASE WHEN o.verdict = 'send' THEN coalesce(s.state, 'pending') END AS state,
    count(*) AS occurrences,
    sum(o.attempt) AS attempts
FROM occurrences AS o
LEFT JOIN sends AS s ON s.shop = o.shop AND s.message_id = o.message_id
WHERE ($1::text IS NULL OR o.shop = $1)
    AND ($2::timestamptz IS NULL OR o.due_at >= $2)
    AND ($3::timestamptz IS NULL OR o.due_at < $3)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6;

-- name: doubles
SELECT
    (
        SELECT count(*) FROM (
            SELECT 1 FROM decisions
            WHERE verdict <> 'defer' AND ($1::text IS NULL OR shop = $1)
            GROUP BY shop, message_id HAVING count(*) > 1
        ) AS twice
    ) AS decided_twice,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM engagement
            WHERE kind = 'accepted' AND message_id IS NOT NULL AND ($1::text IS NULL OR shop = $1)
            GROUP BY shop, message_id HAVING count(*) > 1
        ) AS twice
    ) AS accepted_twice,
    (SELECT count(*) FROM decisions WHERE conflicting AND ($1::text IS NULL OR shop = $1)) AS told_differently;

-- name: sales
SELECT shop, order_id, customer_id, placed_at, currency, total
FROM orders
WHERE status = 'placed' AND NOT test AND NOT history AND ($1::text IS NULL OR shop = $1)
ORDER BY shop, placed_at, order_id;

-- name: returned
SELECT r.shop, r.order_id, r.refund, r.lines, o.lines AS order_lines
FROM returns AS r
JOIN orders AS o USING (shop, order_id)
WHERE r.status <> 'rejected' AND ($1::text IS NULL OR r.shop = $1);

-- name: touches
SELECT d.shop, d.customer_id, d.message_id, d.journey, d.step, d.channel, s.accepted_at
FROM sends AS s
JOIN decisions AS d ON d.shop = s.shop AND d.message_id = s.message_id AND d.verdict = 'send'
WHERE s.accepted_at IS NOT NULL AND s.bounced_at IS NULL AND ($1::text IS NULL OR s.shop = $1);

-- name: eligible
SELECT DISTINCT ON (shop, customer_id) shop, customer_id, verdict, decided_at
FROM decisions
WHERE verdict IN ('send', 'ghost')
    AND ($1::text IS NULL OR shop = $1)
    AND ($2::timestamptz IS NULL OR decided_at >= $2)
    AND ($3::timestamptz IS NULL OR decided_at < $3)
ORDER BY shop, customer_id, decided_at, attempt, message_id;

-- name: customer_known
SELECT
    (SELECT count(*) FROM orders WHERE customer_id = $1 AND ($2::text IS NULL OR shop = $2)) AS orders,
    (SELECT count(*) FROM decisions WHERE customer_id = $1 AND ($2::text IS NULL OR shop = $2)) AS decisions;

-- name: customer_occurrences
SELECT shop, message_id, max(decided_at) AS last_decided_at, count(*) OVER () AS occurrences
FROM decisions
WHERE customer_id = $1
    AND ($2::text IS NULL OR shop = $2)
    AND ($3::text[] IS NULL OR step = ANY ($3))
GROUP BY shop, message_id
ORDER BY max(decided_at) DESC, message_id
LIMIT $4;

-- name: attempts
SELECT shop, message_id, record
FROM decisions
WHERE (shop, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY attempt DESC, decided_at DESC;

-- name: message_events
SELECT shop, message_id, kind, channel, occurred_at, reason, answer, provider, provider_reference
FROM engagement
WHERE (shop, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY occurred_at, kind, event_id;

-- name: send_states
SELECT shop, message_id, state
FROM sends
WHERE (shop, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]));

-- name: lag
SELECT topic, sum(greatest(log_end - position, 0))::bigint AS records
FROM positions
GROUP BY topic
ORDER BY topic;
