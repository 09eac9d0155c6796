-- Failures in a row, as of each failure; and single ones that nothing repaired.
WITH failed AS (
    SELECT
        'again' AS kind, event_at, event_id, event_name, principal_id, secret_id, account_id, region, object_key,
        record_index, event_at AS failed_at, event_at AS known_at, error_message
    FROM new_events
    WHERE event_name IN ('RotationFailed', 'RotationAbandoned') AND secret_id IS NOT NULL
    UNION ALL
    -- The evidence is where the attempt began.
    SELECT
        'unrepaired' AS kind, started_at AS event_at, event_id, event_name, principal_id, secret_id,
        account_id, region, object_key, record_index, finished_at AS failed_at, finished_at + $unrepaired_after AS known_at, CAST(NULL AS VARCHAR) AS error_message
    FROM rotation_attempts
    WHERE outcome IN ('failed', 'abandoned')
        -- Only by schedule: while rows are still being judged, the repair may be among those to come.
        AND (SELECT count(*) FROM new_events) = 0
        AND $as_of >= finished_at + $unrepaired_after
        AND secret_id NOT IN (SELECT secret_id FROM secrets WHERE deleted_at IS NOT NULL)
),
-- The newest value that the secret had by then, and how many changes there had been.
changes AS (
    SELECT failed.kind, failed.event_id, failed.secret_id, max(change.rotated_at) AS last_change_at, count(*) AS earlier_changes
    FROM failed
    JOIN rotations AS change
        ON change.secret_id = failed.secret_id
        -- A repair after the time for it does not undo that it took so long.
        AND change.rotated_at <= failed.known_at
    GROUP BY failed.kind, failed.event_id, failed.secret_id
),
-- The attempts that had ended before this one.
attempts AS (
    SELECT
        failed.kind, failed.event_id, failed.secret_id,
        count(*) AS attempts,
        count(CASE WHEN attempt.outcome IN ('failed', 'abandoned') THEN 1 END) AS failures_before,
        count(
            CASE
                WHEN attempt.outcome IN ('failed', 'abandoned')
                    AND (changes.last_change_at IS NULL OR attempt.finished_at > changes.last_change_at) THEN 1
            END
        ) AS failures_since
    FROM failed
    JOIN rotation_attempts AS attempt
        ON attempt.secret_id = failed.secret_id AND attempt.finished_at < failed.failed_at
    LEFT JOIN changes
        ON changes.kind = failed.kind AND changes.event_id = failed.event_id AND changes.secret_id = failed.secret_id
    GROUP BY failed.kind, failed.event_id, failed.secret_id
)
SELECT
    failed.event_at, failed.event_id, failed.event_name, failed.principal_id, failed.secret_id,
    failed.account_id, failed.region, CAST(NULL AS VARCHAR) AS source_ip, failed.object_key, failed.record_index,
    failed.kind,
    failed.failed_at,
    failed.error_message,
    failed.known_at - failed.failed_at AS since,
    1 + coalesce(attempts.failures_since, 0) AS failures,
    coalesce(attempts.failures_before, 0) AS failures_before,
    coalesce(attempts.attempts, 0) AS attempts,
    changes.last_change_at AS last_value_at,
    coalesce(changes.earlier_changes, 0) AS earlier_changes
FROM failed
LEFT JOIN changes
    ON changes.kind = failed.kind AND changes.event_id = failed.event_id AND changes.secret_id = failed.secret_id
LEFT JOIN attempts
    ON attempts.kind = failed.kind AND attempts.event_id = failed.event_id AND attempts.secret_id = failed.secret_id
WHERE
    CASE failed.kind
        WHEN 'again' THEN 1 + coalesce(attempts.failures_since, 0) >= $failures
        -- A later failure speaks for itself; here the secret has had peace, and no new value.
        ELSE changes.last_change_at IS NULL OR changes.last_change_at <= failed.failed_at
    END
ORDER BY failed.event_at, failed.event_id, failed.secret_id
