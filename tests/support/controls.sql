-- name: publish
INSERT INTO scheduler.publications (
    kind, shop, name, version, body, waiting, why, published_by, published_at, recorded_at, needs_approval
)
VALUES ('journey', $1, $2, '1', '{}', 'migrate', 'test', 'tests', 'epoch', 'epoch', false);
