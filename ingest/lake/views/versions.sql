-- The versions that each secret had and when each was current.
--   secret_id: the secret
--   version_id: the version
--   current_from: when it became current; for a version known only from reads, its first read (it was current by then)
--   superseded_at: when the next value became current; null while it is current
--   known_by: the signals of the change that brought it, or `read` when only reads tell of it
WITH changes AS (
    SELECT
        secret_id, version_id, changed_at, known_by,
        lead(changed_at) OVER (PARTITION BY secret_id ORDER BY changed_at) AS next_at
    FROM value_changes
),
-- What KMS says was read by callers who asked for the current version.
read_versions AS (
    SELECT secret_id, version_id, min(event_at) AS first_read_at
    FROM access_events
    WHERE action = 'read' AND outcome = 'ok' AND secret_id IS NOT NULL AND version_id IS NOT NULL
        AND version_evidence = 'kms' AND (version_stage IS NULL OR version_stage = 'AWSCURRENT')
    GROUP BY secret_id, version_id
),
only_read AS (
    SELECT read_versions.*
    FROM read_versions
    LEFT ANTI JOIN changes
        ON changes.secret_id = read_versions.secret_id AND changes.version_id = read_versions.version_id
)
SELECT secret_id, version_id, min(changed_at) AS current_from,
    -- A version made current again (a rollback) is superseded when its last turn ends.
    CASE WHEN bool_or(next_at IS NULL) THEN NULL ELSE max(next_at) END AS superseded_at,
    first_value(known_by ORDER BY changed_at) AS known_by
FROM changes
WHERE version_id IS NOT NULL
GROUP BY secret_id, version_id
UNION ALL
SELECT only_read.secret_id, only_read.version_id, only_read.first_read_at AS current_from,
    min(changes.changed_at) AS superseded_at, 'read' AS known_by
FROM only_read
LEFT JOIN changes
    ON changes.secret_id = only_read.secret_id AND changes.changed_at > only_read.first_read_at
GROUP BY only_read.secret_id, only_read.version_id, only_read.first_read_at
