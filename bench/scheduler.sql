-- name: keep_customers
CREATE TABLE kept_customers AS TABLE customers;

-- name: keep_steps
CREATE TABLE kept_steps AS TABLE due_steps;

-- name: empty
TRUNCATE customers, due_steps, outbox, tallies;

-- name: restore_customers
INSERT INTO customers SELECT * FROM kept_customers;

-- name: restore_steps
INSERT INTO due_steps SELECT * FROM kept_steps;

-- name: restore_steps_due
INSERT INTO due_steps SELECT * FROM kept_steps WHERE next_at <= $1;

-- name: settle_tables
VACUUM (ANALYZE) customers;

-- name: settle_steps
VACUUM (ANALYZE) due_steps;

-- name: checkpoint
CHECKPOINT;

-- name: set_position
INSERT INTO positions (topic, partition_number, position, log_end, observed_at, owner)
VALUES ($1, $2, 5, 5, $3, gen_random_uuid())
ON CONFLICT (topic, partition_number) DO UPDATE SET observed_at = excluded.observed_at, behind_since = NULL;

-- name: decisions
SELECT value FROM outbox WHERE topic = $1;

-- name: count_outbox
SELECT count(*) FROM outbox;

-- name: drain
DELETE FROM outbox;

-- name: due_jobs
SELECT shop_id, customer_id FROM due_steps WHERE next_at <= $1 ORDER BY shop_id, customer_id;

-- name: lock_one
SELECT shop_id, customer_id, partition_number, state FROM customers WHERE shop_id = $1 AND customer_id = $2 FOR UPDATE;

-- name: save_one
UPDATE customers SET state = $3 WHERE shop_id = $1 AND customer_id = $2;

-- name: jobs_left
SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing');

-- name: sizes
SELECT
    relname AS name,
    pg_table_size(oid) AS table_bytes,
    pg_indexes_size(oid) AS index_bytes
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'scheduler'::regnamespace AND relname IN ('customers', 'due_steps', 'outbox')
ORDER BY relname;

-- name: empty_jobs
TRUNCATE procrastinate_jobs RESTART IDENTITY CASCADE;

-- name: settle_jobs
VACUUM (ANALYZE) procrastinate_jobs;

-- name: has_jobs
SELECT to_regclass('procrastinate_jobs') IS NOT NULL;

-- name: advance
UPDATE positions SET position = $3, observed_at = $4 WHERE topic = $1 AND partition_number = $2;

-- name: has_database
SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1);

-- name: rows_of_customers
SELECT count(*) FROM customers;

-- name: rows_of_due_steps
SELECT count(*) FROM due_steps;

-- name: overdue_of
SELECT count(*) FROM due_steps WHERE shop_id = $1 AND next_at <= $2;

-- name: churn_people
INSERT INTO customers (shop_id, customer_id, partition_number, state)
SELECT 'churn', 'c-' || number, number % 6, decode(repeat(md5(number::text), $2), 'hex')
FROM generate_series(1, $1) AS number;

-- name: churn_steps
INSERT INTO due_steps
SELECT
    gen_random_uuid(), 'churn', 'c-' || (1 + number % $3), number % 6, gen_random_uuid(), 'churn-routine', 'a-step', 0, 'email',
    $2::timestamptz + number * interval '1 millisecond', $2::timestamptz + number * interval '1 millisecond', 0
FROM generate_series(1, $1) AS number;

-- name: churn_decide
-- What deciding so many steps changes: facts, the step that is settled, the one that follows an hour later, and two records.
WITH settled AS (
    DELETE FROM due_steps
    WHERE (shop_id, customer_id, message_id) IN (
        SELECT shop_id, customer_id, message_id FROM due_steps WHERE shop_id = 'churn' ORDER BY next_at LIMIT $1
    )
    RETURNING *
), following AS (
    INSERT INTO due_steps
    SELECT
        gen_random_uuid(), shop_id, customer_id, partition_number, enrolment_id, journey, step, occurrence, channel,
        due_at + $2, next_at + $2, 0
    FROM settled
), remembered AS (
    UPDATE customers SET state = substr(customers.state, 2) || substr(customers.state, 1, 1)
    FROM (SELECT DISTINCT shop_id, customer_id FROM settled) AS touched
    WHERE customers.shop_id = touched.shop_id AND customers.customer_id = touched.customer_id
)
INSERT INTO outbox (topic, key, value)
SELECT topic, customer_id::bytea, decode(repeat(md5(customer_id), size / 16), 'hex')
FROM settled
CROSS JOIN (VALUES ('decisions', 5200), ('messages', 1400)) AS told (topic, size);

-- name: churn_relay
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1);

-- name: look_often
ALTER SYSTEM SET autovacuum_naptime = 2;

-- name: reload
SELECT pg_reload_conf();

-- name: forget_kept
DROP TABLE kept_customers, kept_steps;

-- name: backend
SELECT pg_backend_pid();
