-- Every message, once. `event` is the message as it came, with its recipient: it goes when the outcome is certain.
-- `valid_until` and `requested_at` are business time; `next_try`, `lease_until` and `changed_at` machine time.
CREATE TABLE ledger (
    message_id uuid PRIMARY KEY,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    channel text NOT NULL,
    state text NOT NULL CHECK (
        state IN ('intended', 'claimed', 'handed_over', 'accepted', 'rejected', 'withheld', 'unknown', 'confirmed')
    ),
    reason text,
    event bytea,
    attempts integer NOT NULL DEFAULT 0,
    next_try timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    requested_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    worker uuid,
    lease_until timestamptz,
    provider text,
    provider_reference text
) WITH (fillfactor = 70);
CREATE INDEX ledger_next_try ON ledger (next_try) WHERE state = 'intended';
CREATE INDEX ledger_lease_until ON ledger (lease_until) WHERE state IN ('claimed', 'handed_over');
CREATE INDEX ledger_unknown ON ledger (changed_at) WHERE state = 'unknown';

-- A customer's consent as last read; an erased customer's row stays, empty.
CREATE TABLE consents (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    version bigint NOT NULL,
    consent jsonb NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
);

-- Opt-outs and complaints, by business time.
CREATE TABLE suppressions (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    channel text NOT NULL,
    since timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (shop_id, customer_id, channel)
);
