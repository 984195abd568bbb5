-- name: publish
INSERT INTO scheduler.publications (
    kind, shop, name, version, body, waiting, why, published_by, published_at, recorded_at, needs_approval
)
VALUES ('journey', $1, $2, '1', '{}', 'migrate', 'test', 'tests', 'epoch', 'epoch', false);

-- name: counted
SELECT
    step, place, sum(sends)::integer AS sends, sum(opens)::integer AS opens, sum(unsubscribes)::integer AS unsubscribes,
    sum(complaints)::integer AS complaints, sum(bounces)::integer AS bounces
FROM guard_counts
GROUP BY step, place
ORDER BY step, place;
