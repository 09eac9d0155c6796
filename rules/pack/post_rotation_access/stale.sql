-- Readers that used a secret before its last change and have not fetched the new value since: they will break when the
-- old value is retired, or the old value is in somebody's copy. One row per reader and secret.
--   principal_id, secret_id: who and what
--   last_read_at: the last use, of the old value
--   last_rotation_at: when the value changed
--   stale_for: the time since the change
--   read_count: how often the principal used the secret in all
SELECT
    pair.principal_id,
    pair.secret_id,
    secret.secret_name,
    secret.secret_account,
    secret.secret_region,
    pair.last_read_at,
    secret.last_rotation_at,
    $as_of - secret.last_rotation_at AS stale_for,
    pair.read_count
FROM pairs AS pair
JOIN secrets AS secret ON secret.secret_id = pair.secret_id
WHERE pair.reader_class = 'consumer'
    AND secret.deleted_at IS NULL
    AND pair.last_read_at < secret.last_rotation_at
    AND $as_of > secret.last_rotation_at + $grace
ORDER BY secret.last_rotation_at DESC, pair.secret_id, pair.principal_id
