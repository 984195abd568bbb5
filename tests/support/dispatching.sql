-- name: states
SELECT message_id, state, reason, attempts, provider_reference, event IS NULL AS emptied FROM ledger;

-- name: told
SELECT value FROM outbox ORDER BY id;
