-- name: consumed
SELECT coalesce(sum(position), 0)::bigint FROM scheduler.positions;

-- name: undecided
SELECT count(*) FROM scheduler.due_steps WHERE next_at <= $1;

-- name: unpublished
SELECT count(*) FROM scheduler.outbox;
