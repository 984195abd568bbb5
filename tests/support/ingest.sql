-- name: seen
SELECT count(*) FROM seen_events;

-- name: someone_waits_for_a_lock
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database());
