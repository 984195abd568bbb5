-- name: list_unknown
SELECT
    message_id, shop_id, customer_id, channel, reason, provider, provider_reference, attempts, asks, requested_at, valid_until,
    coalesce(handed_over_at, changed_at) AS handed_over_at, changed_at
FROM ledger
WHERE state = 'unknown'
    AND ($1::text IS NULL OR provider = $1)
    AND ($2::timestamptz IS NULL OR coalesce(handed_over_at, changed_at) < $2)
ORDER BY changed_at, message_id;

-- name: show
SELECT
    ledger.message_id, ledger.shop_id, ledger.customer_id, ledger.channel, ledger.journey, ledger.state, ledger.reason,
    ledger.provider, ledger.provider_reference, ledger.attempts, ledger.asks, ledger.requested_at, ledger.valid_until,
    ledger.next_try, ledger.handed_over_at, ledger.changed_at, ledger.once_until, ledger.event IS NOT NULL AS has_content,
    sends.consent, sends.consent_version
FROM ledger
LEFT JOIN sends USING (shop_id, customer_id, message_id)
WHERE ledger.message_id = $1;

-- name: settlements_of
SELECT settled_at, verdict, settled_by, why
FROM settlements
WHERE message_id = $1
ORDER BY settlement_id;

-- name: can_go_again
SELECT message_id
FROM ledger
WHERE message_id = ANY ($1::uuid[]) AND state = 'unknown' AND event IS NOT NULL AND valid_until > $2
FOR UPDATE;

-- name: note_settlement
INSERT INTO settlements (message_id, settled_at, verdict, settled_by, why)
VALUES ($1, $2, $3, $4, $5);
