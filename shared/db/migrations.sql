-- name: lock
SELECT pg_advisory_xact_lock(hashtext('orderwake-migrate-' || $1));

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: enter_schema
SELECT set_config('search_path', $1, true);

-- name: create_migrations
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);

-- name: applied
SELECT name FROM migrations;

-- name: note_applied
INSERT INTO migrations (name) VALUES ($1);
