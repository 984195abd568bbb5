-- name: note
INSERT INTO reports (provider, report_id, received_at)
SELECT $1, heard.report_id, $3
FROM unnest($2::text[]) AS heard (report_id)
ORDER BY heard.report_id
ON CONFLICT DO NOTHING
RETURNING report_id;

-- name: prune
DELETE FROM reports
WHERE (provider, report_id) IN (
    SELECT provider, report_id
    FROM reports
    WHERE received_at < $1
    ORDER BY received_at
    LIMIT 5000
    FOR UPDATE SKIP LOCKED
);

-- name: about
SELECT
    ledger.message_id, ledger.shop_id, ledger.customer_id, ledger.channel, ledger.journey, ledger.provider,
    ledger.provider_reference, ledger.reason, ledger.state, sends.address_hash
FROM ledger
LEFT JOIN sends USING (shop_id, customer_id, message_id)
WHERE ledger.message_id = ANY ($1::uuid[]) OR (ledger.provider_reference = ANY ($2::text[]) AND ledger.provider = $3)
ORDER BY ledger.message_id
FOR UPDATE OF ledger;
