-- Messages sent and what came of them, for the guards: by journey, step, channel, place in the enrolment's sequence and the
-- UTC day on which they were sent. A response counts on its message's day. `since` is the last resume of the journey (or
-- the epoch): from it on everything is counted anew. `slot` spreads the rows, so that deciders seldom wait for each other.
CREATE TABLE guard_counts (
    shop_id text NOT NULL,
    journey text NOT NULL,
    step text NOT NULL,
    channel text NOT NULL,
    place integer NOT NULL,
    day date NOT NULL,
    since timestamptz NOT NULL,
    slot integer NOT NULL,
    sends bigint NOT NULL,
    opens bigint NOT NULL,
    unsubscribes bigint NOT NULL,
    complaints bigint NOT NULL,
    bounces bigint NOT NULL,
    PRIMARY KEY (day, shop_id, journey, step, channel, place, since, slot)
) WITH (fillfactor = 70);

-- Journeys that a guard stopped: once for each `since`. Business time.
CREATE TABLE guard_trips (
    shop_id text NOT NULL,
    journey text NOT NULL,
    since timestamptz NOT NULL,
    tripped_at timestamptz NOT NULL,
    breached text NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (shop_id, journey, since)
);

-- How many overdue messages may still be decided to be sent, all processes together, as at machine time `counted_at`.
CREATE TABLE catch_up (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    tokens double precision NOT NULL,
    counted_at timestamptz NOT NULL
);
INSERT INTO catch_up (tokens, counted_at) VALUES (0, 'epoch');
