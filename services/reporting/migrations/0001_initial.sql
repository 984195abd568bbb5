-- One row per decision, with the whole record. `conflicting` is set when the same id came with another content.
CREATE TABLE decisions (
    decision_id uuid PRIMARY KEY,
    message_id text NOT NULL,
    shop text NOT NULL,
    customer_id text NOT NULL,
    journey text NOT NULL,
    step text NOT NULL,
    channel text NOT NULL,
    attempt integer NOT NULL,
    due_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    verdict text NOT NULL,
    reason text,
    record jsonb NOT NULL,
    conflicting boolean NOT NULL DEFAULT false
);
CREATE INDEX decisions_by_occurrence ON decisions (shop, message_id, attempt DESC);
CREATE INDEX decisions_by_customer ON decisions (customer_id, shop, decided_at DESC);
CREATE INDEX decisions_of_the_eligible ON decisions (shop, customer_id, decided_at) WHERE verdict IN ('send', 'ghost');

-- An occurrence is a step that came due for someone once; what counts is its latest attempt.
CREATE VIEW occurrences AS
SELECT DISTINCT ON (shop, message_id) *
FROM decisions
ORDER BY shop, message_id, attempt DESC, decided_at DESC;

-- What happened to messages and what people did with them, one row per event.
CREATE TABLE engagement (
    shop text NOT NULL,
    event_id text NOT NULL,
    provider_reference text NOT NULL,
    customer_id text NOT NULL,
    message_id text,
    channel text NOT NULL,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    reason text,
    answer text,
    provider text,
    PRIMARY KEY (shop, event_id, provider_reference)
);
CREATE INDEX engagement_by_message ON engagement (shop, message_id, occurred_at);

-- One row per message of which the dispatcher has told something: the first time of each state.
CREATE TABLE sends (
    shop text NOT NULL,
    message_id text NOT NULL,
    accepted_at timestamptz,
    rejected_at timestamptz,
    withheld_at timestamptz,
    unknown_at timestamptz,
    bounced_at timestamptz,
    state text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN accepted_at IS NOT NULL THEN 'accepted'
            WHEN rejected_at IS NOT NULL THEN 'rejected'
            WHEN withheld_at IS NOT NULL THEN 'withheld'
            WHEN unknown_at IS NOT NULL THEN 'unknown'
            ELSE 'pending'
        END
    ) STORED,
    PRIMARY KEY (shop, message_id)
);

-- Orders as they are now: the highest version won.
CREATE TABLE orders (
    shop text NOT NULL,
    order_id text NOT NULL,
    customer_id text NOT NULL,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    placed_at timestamptz NOT NULL,
    status text NOT NULL,
    test boolean NOT NULL,
    history boolean NOT NULL,
    currency text NOT NULL,
    total numeric NOT NULL,
    lines jsonb NOT NULL,
    PRIMARY KEY (shop, order_id)
);
CREATE INDEX orders_by_customer ON orders (customer_id, shop);

-- Returns as they are now: the highest version won. `refund` is null where the shop did not state it.
CREATE TABLE returns (
    shop text NOT NULL,
    return_id text NOT NULL,
    order_id text NOT NULL,
    version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    status text NOT NULL,
    refund numeric,
    lines jsonb NOT NULL,
    PRIMARY KEY (shop, return_id)
);
CREATE INDEX returns_by_order ON returns (shop, order_id);
