-- name: stale-consumers
-- title: Readers of the old value that have not fetched the new one
-- description: For each secret's last change: consumers that read it before and not since. They will break when the old
--   value ends, or they are an attacker's copy.
-- param: after duration 1d How long ago the change must be
SELECT
    secrets.secret_id,
    secrets.last_rotation_at,
    pairs.principal_id,
    pairs.last_read_at,
    pairs.read_count
FROM secrets
JOIN pairs ON pairs.secret_id = secrets.secret_id
WHERE secrets.deleted_at IS NULL
    AND pairs.reader_class = 'consumer'
    AND pairs.last_read_at < secrets.last_rotation_at
    AND secrets.last_rotation_at <= (SELECT horizon_at FROM horizon) - $after
ORDER BY secrets.last_rotation_at DESC, secrets.secret_id, pairs.last_read_at DESC
