-- name: unfinished
SELECT EXISTS (SELECT FROM ledger WHERE state IN ('intended', 'claimed', 'handed_over')) OR EXISTS (SELECT FROM outbox);

-- name: states
SELECT state, count(*) AS messages FROM ledger GROUP BY state;

-- name: settle
VACUUM ANALYZE;

-- name: checkpoint
CHECKPOINT;

-- name: clear
TRUNCATE ledger, outbox;
