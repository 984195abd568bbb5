-- Which journeys every process derives and decides by: one row, or none before the first start. Whoever writes due
-- steps holds the table in ROW SHARE mode and must find its own fingerprint here; whoever changes the row or derives
-- customers anew holds it in EXCLUSIVE mode. So nobody writes by journeys that were replaced, not even a customer whose
-- row is not committed yet. Take it before any customer's row. `reached_...` is the last customer derived anew.
CREATE TABLE journeys_in_force (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fingerprint text NOT NULL,
    since timestamptz NOT NULL,
    reached_shop text NOT NULL DEFAULT '',
    reached_customer text NOT NULL DEFAULT '',
    complete boolean NOT NULL DEFAULT false
);
