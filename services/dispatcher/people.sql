-- Business time, as parameters.

-- name: put_consent
INSERT INTO consents AS mine (shop_id, customer_id, version, consent, country, region, time_zone)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (shop_id, customer_id) DO UPDATE
SET version = excluded.version, consent = excluded.consent, country = excluded.country, region = excluded.region,
    time_zone = excluded.time_zone
WHERE mine.version < excluded.version;

-- name: erase_consent
INSERT INTO consents (shop_id, customer_id, version, consent)
VALUES ($1, $2, 0, '{}')
ON CONFLICT (shop_id, customer_id) DO UPDATE
SET version = 0, consent = '{}', country = NULL, region = NULL, time_zone = NULL;

-- name: forget_addresses
UPDATE sends
SET address_hash = NULL
WHERE shop_id = $1 AND customer_id = $2 AND address_hash IS NOT NULL;

-- name: suppress
-- What a person did elsewhere, a STOP to a provider may repeat but no START lifts.
INSERT INTO suppressions AS mine (shop_id, customer_id, channel, since, reason, stopped_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (shop_id, customer_id, channel) DO UPDATE
SET since = excluded.since,
    reason = excluded.reason,
    stopped_by = CASE WHEN mine.stopped_by IS NULL AND mine.lifted_at IS NULL THEN NULL ELSE excluded.stopped_by END,
    lifted_at = NULL
WHERE mine.since < excluded.since;

-- name: standings
SELECT
    wanted.message_id, consents.version, consents.consent -> wanted.channel AS consent, consents.country, consents.region, consents.time_zone,
    suppressions.since AS suppressed_since,
    addresses.dead_since IS NOT NULL AS dead, stops.provider AS stopped_provider, stops.since AS stopped_since
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    AS wanted (message_id, shop_id, customer_id, channel, address_hash)
INNER JOIN consents ON consents.shop_id = wanted.shop_id AND consents.customer_id = wanted.customer_id
LEFT JOIN suppressions
    ON suppressions.shop_id = wanted.shop_id AND suppressions.customer_id = wanted.customer_id
    AND suppressions.channel = wanted.channel AND suppressions.lifted_at IS NULL
LEFT JOIN addresses ON addresses.channel = wanted.channel AND addresses.address_hash = wanted.address_hash
LEFT JOIN stops
    ON stops.channel = wanted.channel AND stops.address_hash = wanted.address_hash AND stops.lifted_at IS NULL;

-- name: stop
INSERT INTO stops AS mine (channel, address_hash, provider, since)
VALUES ($1, $2, $3, $4)
ON CONFLICT (channel, address_hash, provider) DO UPDATE
SET since = excluded.since, lifted_at = NULL
WHERE mine.since < excluded.since;

-- name: start
UPDATE stops
SET lifted_at = $4
WHERE channel = $1 AND address_hash = $2 AND provider = $3 AND lifted_at IS NULL AND since <= $4;

-- name: lift
UPDATE suppressions
SET lifted_at = $5
WHERE channel = $3 AND stopped_by = $4 AND lifted_at IS NULL AND since <= $5
    AND (shop_id, customer_id) IN (SELECT * FROM unnest($1::text[], $2::text[]));

-- name: written_to
SELECT DISTINCT shop_id, customer_id
FROM sends
WHERE address_hash = $2 AND channel = $1 AND provider = $3
ORDER BY shop_id, customer_id;

-- name: address_died
INSERT INTO addresses AS mine (channel, address_hash, dead_since, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT (channel, address_hash) DO UPDATE
SET dead_since = coalesce(mine.dead_since, excluded.dead_since), reason = coalesce(mine.reason, excluded.reason);

-- name: address_failed
INSERT INTO addresses AS mine (channel, address_hash, softs, dead_since, reason)
VALUES ($1, $2, 1, CASE WHEN $5 <= 1 THEN $3::timestamptz END, $4)
ON CONFLICT (channel, address_hash) DO UPDATE
SET softs = mine.softs + 1,
    dead_since = CASE WHEN mine.softs + 1 >= $5 THEN coalesce(mine.dead_since, $3) ELSE mine.dead_since END,
    reason = excluded.reason
RETURNING dead_since IS NOT NULL AS dead;

-- name: addresses_reached
UPDATE addresses
SET softs = 0
WHERE softs > 0 AND dead_since IS NULL
    AND (channel, address_hash) IN (SELECT * FROM unnest($1::text[], $2::bytea[]));

-- name: consent_of
SELECT version, consent
FROM consents
WHERE shop_id = $1 AND customer_id = $2;

-- name: suppressions_of
SELECT channel, since, reason, stopped_by, lifted_at
FROM suppressions
WHERE shop_id = $1 AND customer_id = $2
ORDER BY channel;

-- name: addresses_of
SELECT DISTINCT addresses.channel, addresses.dead_since, addresses.softs, addresses.reason
FROM sends
INNER JOIN addresses USING (channel, address_hash)
WHERE sends.shop_id = $1 AND sends.customer_id = $2 AND (addresses.softs > 0 OR addresses.dead_since IS NOT NULL)
ORDER BY addresses.channel, addresses.dead_since;

-- name: sends_of
SELECT
    sends.message_id, sends.channel, sends.provider, sends.handed_over_at, sends.consent, sends.consent_version,
    ledger.journey, ledger.state
FROM sends
LEFT JOIN ledger USING (message_id)
WHERE sends.shop_id = $1 AND sends.customer_id = $2
ORDER BY sends.handed_over_at DESC, sends.message_id
LIMIT $3;
