-- Events seen: the hash of shop, source and id. Pruned by age.
CREATE TABLE seen_events (
    identity uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
CREATE INDEX seen_events_by_age ON seen_events USING brin (seen_at);

-- The customer under whom an order first came; shipments and returns follow it.
CREATE TABLE order_owner (
    shop text NOT NULL,
    order_id text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (shop, order_id)
);

-- Records that wait for their order, as they came, so that a dead letter of one is the record itself.
CREATE TABLE parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop text NOT NULL,
    order_id text NOT NULL,
    topic text NOT NULL,
    partition_number integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea NOT NULL,
    parked_at timestamptz NOT NULL
);
CREATE INDEX parked_by_order ON parked (shop, order_id);
CREATE INDEX parked_by_age ON parked (parked_at);

-- The newest version published for each key of a compacted topic: an older state must not follow a newer one there.
CREATE TABLE newest (
    topic text NOT NULL,
    key bytea NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (topic, key)
);
