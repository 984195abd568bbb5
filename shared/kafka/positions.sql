-- name: claim
INSERT INTO positions AS mine (topic, partition_number, position, log_end, observed_at, behind_since, owner)
SELECT topic, partition_number, 0, 0, 'epoch', 'epoch', $3
FROM unnest($1::text[], $2::integer[]) AS claimed (topic, partition_number)
ON CONFLICT (topic, partition_number) DO UPDATE
SET owner = excluded.owner, observed_at = 'epoch', behind_since = 'epoch'
RETURNING topic, partition_number, position;

-- name: lock
SELECT topic, partition_number, position, owner
FROM positions
WHERE (topic, partition_number) IN (SELECT * FROM unnest($1::text[], $2::integer[]))
ORDER BY topic, partition_number
FOR UPDATE;

-- name: advance
UPDATE positions
SET position = moved.position,
    log_end = moved.log_end,
    observed_at = $5,
    behind_since = CASE WHEN moved.position < moved.log_end THEN coalesce(positions.behind_since, $5) END
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS moved (topic, partition_number, position, log_end)
WHERE positions.topic = moved.topic
    AND positions.partition_number = moved.partition_number
    AND positions.owner = $6;
