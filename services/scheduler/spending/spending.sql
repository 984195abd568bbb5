-- name: add_budgets
INSERT INTO budgets (shop_id, currency, per, period_start)
SELECT shop_id, currency, per, period_start
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS new (shop_id, currency, per, period_start)
ORDER BY shop_id, currency, per, period_start
ON CONFLICT (shop_id, currency, per, period_start) DO NOTHING;

-- name: lock_budgets
SELECT budgets.shop_id, budgets.currency, budgets.per, budgets.period_start, reserved
FROM budgets
JOIN unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS wanted (shop_id, currency, per, period_start)
USING (shop_id, currency, per, period_start)
ORDER BY budgets.shop_id, budgets.currency, budgets.per, budgets.period_start
FOR UPDATE OF budgets;

-- name: reserve
UPDATE budgets
SET reserved = reserved + more.amount
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[])
    AS more (shop_id, currency, per, period_start, amount)
WHERE (budgets.shop_id, budgets.currency, budgets.per, budgets.period_start)
    = (more.shop_id, more.currency, more.per, more.period_start);

-- name: due_in
SELECT count(*)
FROM due_steps
JOIN unnest($2::text[]) AS wanted (customer_id) USING (customer_id)
WHERE shop_id = $1 AND journey = ANY($3::text[]) AND next_at <= $4;

-- name: draw_codes
SELECT code
FROM discount_codes
WHERE shop_id = $1 AND pool = $2 AND message_id IS NULL
ORDER BY place
LIMIT $3
FOR UPDATE SKIP LOCKED;

-- name: more_codes
SELECT EXISTS (
    SELECT FROM discount_codes WHERE shop_id = $1 AND pool = $2 AND message_id IS NULL AND code <> ALL($3::text[])
);

-- name: issue_drawn
UPDATE discount_codes
SET message_id = given.message_id, journey = given.journey, step = given.step, kind = given.kind, value = given.value,
    currency = given.currency, issued_at = given.issued_at, expires_at = given.expires_at
FROM unnest(
    $1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]
) AS given (shop_id, code, message_id, journey, step, kind, value, currency, issued_at, expires_at)
WHERE discount_codes.shop_id = given.shop_id AND discount_codes.code = given.code AND discount_codes.message_id IS NULL;

-- name: issue_made
INSERT INTO discount_codes (
    shop_id, code, message_id, journey, step, kind, value, currency, issued_at, expires_at, added_at
)
SELECT shop_id, code, message_id, journey, step, kind, value, currency, issued_at, expires_at, $11
FROM unnest(
    $1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]
) AS given (shop_id, code, message_id, journey, step, kind, value, currency, issued_at, expires_at)
ON CONFLICT (shop_id, code) DO NOTHING
RETURNING message_id;

-- name: add_codes
INSERT INTO discount_codes (shop_id, pool, code, added_at)
SELECT $1, $2, code, $4
FROM unnest($3::text[]) WITH ORDINALITY AS new (code, line)
ORDER BY line
ON CONFLICT (shop_id, code) DO NOTHING
RETURNING code;

-- name: codes_left
SELECT shop_id, pool, count(*) AS waiting
FROM discount_codes
WHERE message_id IS NULL AND pool IS NOT NULL AND ($1::text IS NULL OR shop_id = $1)
GROUP BY shop_id, pool
ORDER BY shop_id, pool;

-- name: pools
SELECT
    shop_id, pool, count(*) FILTER (WHERE message_id IS NULL) AS waiting, count(message_id) AS issued,
    count(redeemed_by) AS redeemed
FROM discount_codes
WHERE pool IS NOT NULL AND ($1::text IS NULL OR shop_id = $1)
GROUP BY shop_id, pool
ORDER BY shop_id, pool;

-- name: issued_codes
SELECT
    shop_id, code, pool, message_id, journey, step, kind, value, currency, issued_at, expires_at, redeemed_at, redeemed_by
FROM discount_codes
WHERE shop_id = $1 AND message_id IS NOT NULL AND ($2::text IS NULL OR pool = $2)
ORDER BY issued_at DESC, code
LIMIT $3;

-- name: code
SELECT
    shop_id, code, pool, message_id, journey, step, kind, value, currency, issued_at, expires_at, redeemed_at, redeemed_by
FROM discount_codes
WHERE shop_id = $1 AND code = $2;

-- name: lock_code
SELECT
    shop_id, code, pool, message_id, journey, step, kind, value, currency, issued_at, expires_at, redeemed_at, redeemed_by
FROM discount_codes
WHERE shop_id = $1 AND code = $2
FOR UPDATE;

-- name: redeem
UPDATE discount_codes SET redeemed_at = $3, redeemed_by = $4 WHERE shop_id = $1 AND code = $2;
