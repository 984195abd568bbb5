-- name: due
SELECT count(*) FROM due_steps WHERE next_at <= $1;

-- name: reserved
SELECT sum(reserved) FROM budgets;
