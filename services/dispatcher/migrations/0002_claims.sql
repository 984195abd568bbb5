-- Pauses name journeys, so that a claim can pass over what is paused; empty in rows from before, which are claimed and
-- held. `claims` less `attempts` says how often a message was put back, and so how long it waits.
ALTER TABLE ledger ADD COLUMN journey text;
ALTER TABLE ledger ADD COLUMN claims integer NOT NULL DEFAULT 0;
