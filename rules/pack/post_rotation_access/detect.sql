-- (a) Reads of a superseded version after the grace period.
WITH reads AS (
    SELECT *
    FROM new_events
    WHERE action = 'read'
        AND outcome = 'ok'
        AND secret_id IS NOT NULL
        AND reader_class = 'consumer'
),
-- The last turn of the version as the current one, as of the read.
by_version AS (
    SELECT account_id, event_id, secret_id, superseded_at
    FROM (
        SELECT
            reads.account_id, reads.event_id, reads.secret_id, turn.superseded_at,
            row_number() OVER (
                PARTITION BY reads.account_id, reads.event_id, reads.secret_id ORDER BY turn.current_from DESC
            ) AS age
        FROM reads
        JOIN versions AS turn
            ON turn.secret_id = reads.secret_id
            AND turn.version_id = reads.version_id
            AND turn.current_from <= reads.event_at
        WHERE reads.version_id IS NOT NULL
    )
    WHERE age = 1
),
-- AWSPREVIOUS is superseded by its name: since the last change before the read.
by_stage AS (
    SELECT reads.account_id, reads.event_id, reads.secret_id, max(rotation.rotated_at) AS superseded_at
    FROM reads
    JOIN rotations AS rotation ON rotation.secret_id = reads.secret_id AND rotation.rotated_at <= reads.event_at
    WHERE reads.version_stage = 'AWSPREVIOUS'
    GROUP BY reads.account_id, reads.event_id, reads.secret_id
),
old_versions AS (
    SELECT account_id, event_id, secret_id, max(superseded_at) AS changed_at
    FROM (SELECT * FROM by_version UNION ALL SELECT * FROM by_stage)
    WHERE superseded_at IS NOT NULL
    GROUP BY account_id, event_id, secret_id
),
-- Who used the secret on the days between: those that have moved on.
moved_on AS (
    SELECT old.account_id, old.event_id, old.secret_id, count(DISTINCT other.principal_id) AS current_readers
    FROM old_versions AS old
    JOIN reads ON reads.account_id = old.account_id AND reads.event_id = old.event_id AND reads.secret_id = old.secret_id
    JOIN pair_days AS other
        ON other.secret_id = old.secret_id
        AND other.principal_id <> reads.principal_id
        AND other.day_at > old.changed_at
        AND other.day_at < date_trunc('day', reads.event_at)
    GROUP BY old.account_id, old.event_id, old.secret_id
),
-- (b) First uses soon after a change, by principals that had not been readers before it.
new_readers AS (
    SELECT reads.account_id, reads.event_id, reads.secret_id, max(rotation.rotated_at) AS changed_at
    FROM reads
    JOIN secrets AS secret
        ON secret.secret_id = reads.secret_id
        AND reads.event_at >= secret.first_seen_at + $learning
    JOIN rotations AS rotation
        ON rotation.secret_id = reads.secret_id
        AND rotation.rotated_at <= reads.event_at
        AND rotation.rotated_at + $new_reader_window > reads.event_at
        AND rotation.principal_id <> reads.principal_id
    WHERE reads.is_first_use
    GROUP BY reads.account_id, reads.event_id, reads.secret_id
),
earlier AS (
    SELECT new_reader.account_id, new_reader.event_id, new_reader.secret_id, count(*) AS earlier_readers
    FROM new_readers AS new_reader
    JOIN pairs AS other
        ON other.secret_id = new_reader.secret_id
        AND other.reader_class = 'consumer'
        AND other.first_read_at < new_reader.changed_at
    GROUP BY new_reader.account_id, new_reader.event_id, new_reader.secret_id
)
SELECT
    'old_version' AS kind,
    reads.event_at, reads.event_id, reads.event_name, reads.principal_id, reads.secret_id, reads.account_id, reads.region,
    reads.source_ip, reads.object_key, reads.record_index,
    CAST(NULL AS VARCHAR) AS severity,
    reads.principal_id AS fold_principal,
    old.changed_at,
    reads.event_at - old.changed_at AS since,
    reads.version_id, reads.version_stage, reads.version_evidence AS evidence,
    coalesce(moved_on.current_readers, 0) AS current_readers,
    0 AS earlier_readers,
    CAST(NULL AS VARCHAR) AS error_message
FROM reads
JOIN old_versions AS old
    ON old.account_id = reads.account_id AND old.event_id = reads.event_id AND old.secret_id = reads.secret_id
LEFT JOIN moved_on
    ON moved_on.account_id = reads.account_id AND moved_on.event_id = reads.event_id AND moved_on.secret_id = reads.secret_id
WHERE reads.event_at > old.changed_at + $grace
UNION ALL
SELECT
    'new_reader' AS kind,
    reads.event_at, reads.event_id, reads.event_name, reads.principal_id, reads.secret_id, reads.account_id, reads.region,
    reads.source_ip, reads.object_key, reads.record_index,
    'medium' AS severity,
    reads.principal_id AS fold_principal,
    new_reader.changed_at,
    reads.event_at - new_reader.changed_at AS since,
    reads.version_id, reads.version_stage, reads.version_evidence AS evidence,
    0 AS current_readers,
    earlier.earlier_readers,
    CAST(NULL AS VARCHAR) AS error_message
FROM reads
JOIN new_readers AS new_reader
    ON new_reader.account_id = reads.account_id
    AND new_reader.event_id = reads.event_id
    AND new_reader.secret_id = reads.secret_id
-- A secret without readers before its change has its first one now, and nobody lost access to its old value.
JOIN earlier
    ON earlier.account_id = reads.account_id AND earlier.event_id = reads.event_id AND earlier.secret_id = reads.secret_id
UNION ALL
-- (d) Rotations that failed or were given up. Secrets Manager tries again by itself, hence low; failures in a row are
-- rotation_failed's.
SELECT
    'failed' AS kind,
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index,
    'low' AS severity,
    '' AS fold_principal,
    event_at AS changed_at,
    event_at - event_at AS since,
    version_id, version_stage, version_evidence AS evidence,
    0 AS current_readers,
    0 AS earlier_readers,
    error_message
FROM new_events
WHERE event_name IN ('RotationFailed', 'RotationAbandoned') AND secret_id IS NOT NULL
UNION ALL
-- (d) Rotations that were started and not finished in time.
SELECT
    'unfinished' AS kind,
    started_at AS event_at, event_id, event_name, principal_id, secret_id, account_id, region,
    CAST(NULL AS VARCHAR) AS source_ip, object_key, record_index,
    'medium' AS severity,
    '' AS fold_principal,
    started_at AS changed_at,
    coalesce(finished_at, $as_of) - started_at AS since,
    CAST(NULL AS VARCHAR) AS version_id,
    CAST(NULL AS VARCHAR) AS version_stage,
    CAST(NULL AS VARCHAR) AS evidence,
    0 AS current_readers,
    0 AS earlier_readers,
    CAST(NULL AS VARCHAR) AS error_message
FROM rotation_attempts
-- Only by schedule: while rows are still being judged, the end may be among those to come.
WHERE (SELECT count(*) FROM new_events) = 0
    AND coalesce(finished_at, $as_of) > started_at + $unfinished_after
ORDER BY event_at, event_id, secret_id
