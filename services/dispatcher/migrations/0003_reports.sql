-- `handed_over_at` (machine time) is the last hand-over's; `provider` had it then. `once_until`: until then, and to that
-- provider only, it may go again under its own id, though an earlier hand-over was never answered. `asks` counts what
-- was tried to learn of an unknown message; its `next_try` is the time to try again.
ALTER TABLE ledger DROP CONSTRAINT ledger_state_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_state_check CHECK (
    state IN (
        'intended', 'claimed', 'handed_over', 'accepted', 'rejected', 'withheld', 'unknown', 'confirmed', 'undelivered'
    )
);
ALTER TABLE ledger ADD COLUMN handed_over_at timestamptz;
ALTER TABLE ledger ADD COLUMN once_until timestamptz;
ALTER TABLE ledger ADD COLUMN asks integer NOT NULL DEFAULT 0;
CREATE INDEX ledger_reference ON ledger (provider_reference) WHERE provider_reference IS NOT NULL;
CREATE INDEX ledger_once ON ledger (once_until) WHERE state = 'intended' AND once_until IS NOT NULL;
CREATE INDEX ledger_ask ON ledger (next_try) WHERE state = 'unknown';

-- The proof of each hand-over: the consent that it stood on, as last read, at business time `handed_over_at`. The
-- address is a salted hash, by which a STOP finds the customers; it goes when the customer is erased.
CREATE TABLE sends (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    message_id uuid NOT NULL,
    channel text NOT NULL,
    provider text NOT NULL,
    address_hash bytea,
    handed_over_at timestamptz NOT NULL,
    consent jsonb NOT NULL,
    consent_version bigint NOT NULL,
    PRIMARY KEY (shop_id, customer_id, message_id)
);
CREATE INDEX sends_address ON sends (address_hash) WHERE address_hash IS NOT NULL;

-- What is known of an address, whoever has it: `softs` failures in a row, or dead since. Business time.
CREATE TABLE addresses (
    channel text NOT NULL,
    address_hash bytea NOT NULL,
    softs integer NOT NULL DEFAULT 0,
    dead_since timestamptz,
    reason text,
    PRIMARY KEY (channel, address_hash)
);

-- Who told a provider's account to stop, and whether START came since. Business time.
CREATE TABLE stops (
    channel text NOT NULL,
    address_hash bytea NOT NULL,
    provider text NOT NULL,
    since timestamptz NOT NULL,
    lifted_at timestamptz,
    PRIMARY KEY (channel, address_hash, provider)
);

-- `stopped_by` is the provider that the recipient told to stop: START to the same lifts it. A lifted one stays, so that
-- the same news read again does not bring it back.
ALTER TABLE suppressions ADD COLUMN stopped_by text;
ALTER TABLE suppressions ADD COLUMN lifted_at timestamptz;

-- What call-backs said, once each. Machine time.
CREATE TABLE reports (
    provider text NOT NULL,
    report_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, report_id)
);
CREATE INDEX reports_received_at ON reports (received_at);

-- What people settled, and why. Machine time.
CREATE TABLE settlements (
    settlement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,
    settled_at timestamptz NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('taken', 'not_taken', 'send_again')),
    settled_by text NOT NULL,
    why text NOT NULL
);
CREATE INDEX settlements_message ON settlements (message_id);
