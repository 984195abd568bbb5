-- Machine time is a parameter. Rows are locked in the order of their names, for one statement.

-- name: open
INSERT INTO allowances (scope, tokens, counted_at, day, used)
SELECT scope, tokens, $3, $4, 0
FROM unnest($1::text[], $2::double precision[]) AS opened (scope, tokens)
ORDER BY scope
ON CONFLICT (scope) DO NOTHING;

-- name: take
WITH asked AS (
    SELECT *
    FROM unnest($1::text[], $2::integer[], $3::double precision[], $4::double precision[], $5::bigint[])
        AS asked (scope, wanted, per_second, most, per_day)
), had AS (
    SELECT scope, tokens, counted_at, day, used FROM allowances WHERE scope = ANY ($1::text[]) ORDER BY scope FOR UPDATE
), filled AS (
    SELECT
        scope,
        wanted,
        per_day,
        CASE
            WHEN per_second IS NULL THEN wanted
            ELSE least(
                most,
                tokens + per_second * greatest(extract(epoch FROM $6::timestamptz - counted_at), 0)::double precision
            )
        END AS tokens,
        CASE WHEN day < $7::date THEN 0 ELSE used END AS used
    FROM had
    INNER JOIN asked USING (scope)
), granted AS (
    -- least() passes over what is null: no limit.
    SELECT scope, tokens, used, greatest(least(wanted, floor(tokens), per_day - used), 0)::integer AS granted FROM filled
)
UPDATE allowances
SET tokens = granted.tokens - granted.granted,
    counted_at = greatest(allowances.counted_at, $6),
    day = greatest(allowances.day, $7),
    used = granted.used + granted.granted
FROM granted
WHERE allowances.scope = granted.scope
RETURNING allowances.scope, granted.granted, allowances.tokens, allowances.used;

-- name: give_back
-- What was taken on a day that is over does not come off the next day's count.
WITH had AS (
    SELECT scope, unused, taken_on
    FROM allowances
    INNER JOIN unnest($1::text[], $2::integer[], $3::date[]) AS returned (scope, unused, taken_on) USING (scope)
    ORDER BY scope
    FOR UPDATE OF allowances
)
UPDATE allowances
SET tokens = tokens + had.unused, used = CASE WHEN day = had.taken_on THEN greatest(used - had.unused, 0) ELSE used END
FROM had
WHERE allowances.scope = had.scope;
