-- A customer's whole state, as the decision core writes it. The row is the lock under which that customer is
-- changed and decided: take it before any other row of theirs, several in the order of the primary key.
CREATE TABLE customers (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    partition_number integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
) WITH (fillfactor = 70);

-- Occurrences that have no final verdict yet, as derived from the state; decided ones are facts in the state.
-- `attempt` counts the verdicts so far (all of them defer); `next_at` is when the next one falls.
CREATE TABLE due_steps (
    message_id uuid PRIMARY KEY,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    partition_number integer NOT NULL,
    enrolment_id uuid NOT NULL,
    journey text NOT NULL,
    step text NOT NULL,
    occurrence integer NOT NULL,
    channel text NOT NULL,
    due_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    attempt integer NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX due_steps_next ON due_steps (next_at);
CREATE INDEX due_steps_customer ON due_steps (shop_id, customer_id);

-- Published versions of journeys, as published: a version's text never changes.
CREATE TABLE journeys (
    journey text NOT NULL,
    version text NOT NULL,
    body text NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (journey, version)
);

-- Decisions so far. `slot` spreads the rows over processes, so that deciders seldom wait for each other.
CREATE TABLE tallies (
    slot integer NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    decisions bigint NOT NULL,
    PRIMARY KEY (slot, verdict, reason)
);
