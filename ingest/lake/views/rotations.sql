-- Every change of a secret's value, one row each; a secret's first value is not a change.
--   secret_id: the secret
--   rotated_at: when the new value became current: the earliest signal
--   version_id: the new version, where a signal tells
--   previous_version_id: the version before it, where that is known
--   known_by: which signals tell of it, sorted, joined by a comma
--   principal_id: who did it
SELECT secret_id, changed_at AS rotated_at, version_id, previous_version_id, known_by, principal_id
FROM (
    SELECT *, lag(version_id) OVER (PARTITION BY secret_id ORDER BY changed_at) AS previous_version_id
    FROM value_changes
)
WHERE NOT is_first
