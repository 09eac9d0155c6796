-- name: blast-radius
-- title: What a principal's credentials gave away
-- description: If this principal was taken over: every secret that it ever used, whether the secret was rotated since
--   its last use, and who else depends on it.
-- param: principal text - A principal's ARN, or a glob such as *:role/ci-*
SELECT
    pairs.principal_id,
    pairs.secret_id,
    pairs.last_read_at,
    pairs.read_count,
    secrets.last_rotation_at,
    coalesce(secrets.last_rotation_at > pairs.last_read_at, false) AS rotated_since,
    secrets.reader_count - 1 AS other_readers
FROM pairs
JOIN secrets ON secrets.secret_id = pairs.secret_id
WHERE glob_match($principal, pairs.principal_id) AND secrets.deleted_at IS NULL
ORDER BY rotated_since, pairs.last_read_at DESC, pairs.principal_id, pairs.secret_id
