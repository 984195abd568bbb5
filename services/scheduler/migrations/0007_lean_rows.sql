-- A customer's facts are compressed by those who write them (store.py), faster than the server does, and stay in the row up
-- to a page's size: two or three customers to a page. A tenth of it is left free for new versions of small rows.
ALTER TABLE customers ALTER COLUMN state TYPE bytea USING convert_to(state, 'UTF8');
ALTER TABLE customers ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE customers SET (
    toast_tuple_target = 8160, fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

-- Who is due is asked shop by shop, so that one shop's thousands do not come before another's one. The customer comes first
-- in the key of a step: it finds all steps of a customer, and needs no index beside it.
ALTER TABLE due_steps DROP CONSTRAINT due_steps_pkey;
DROP INDEX due_steps_customer;
ALTER TABLE due_steps ADD PRIMARY KEY (shop_id, customer_id, message_id);
DROP INDEX due_steps_next;
CREATE INDEX due_steps_next ON due_steps (shop_id, next_at);

-- Rows that come and go by the thousand each second: vacuumed after every few thousand, at full speed.
ALTER TABLE due_steps SET (
    fillfactor = 100, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE outbox SET (
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);
