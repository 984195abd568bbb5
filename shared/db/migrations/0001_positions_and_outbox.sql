-- Where this service stands in each partition: the only truth about it; Kafka's own commit is for information.
CREATE TABLE positions (
    topic text NOT NULL,
    partition_number integer NOT NULL,
    position bigint NOT NULL,
    log_end bigint NOT NULL,
    observed_at timestamptz NOT NULL,
    behind_since timestamptz,
    owner uuid NOT NULL,
    PRIMARY KEY (topic, partition_number)
) WITH (fillfactor = 50);

-- Records that wait for Kafka, written in the transaction that decided them.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL
);
