-- The demo looks at the services from outside, as an operator would; nothing here writes.

-- name: positions
SELECT 'ingest' AS service, topic, partition_number, position FROM ingest.positions
UNION ALL
SELECT 'scheduler', topic, partition_number, position FROM scheduler.positions
UNION ALL
SELECT 'dispatcher', topic, partition_number, position FROM dispatcher.positions
UNION ALL
SELECT 'reporting', topic, partition_number, position FROM reporting.positions;

-- name: outboxes
SELECT
    (SELECT count(*) FROM ingest.outbox)
    + (SELECT count(*) FROM scheduler.outbox)
    + (SELECT count(*) FROM dispatcher.outbox)
    + (SELECT count(*) FROM reporting.outbox);

