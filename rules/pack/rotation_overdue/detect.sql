-- Secrets whose value should have changed by now, by their own rhythm. A finding's moment is when the change was due, so
-- that judging again tomorrow is the same finding.
WITH steps AS (
    SELECT
        secret_id, rotated_at, known_by,
        rotated_at - lag(rotated_at) OVER (PARTITION BY secret_id ORDER BY rotated_at) AS since_last
    FROM rotations
    WHERE rotated_at <= $as_of
),
rhythms AS (
    SELECT
        secret_id,
        max(rotated_at) AS last_at,
        count(*) AS changes,
        count(since_last) AS intervals,
        max(since_last) AS usual,
        min(since_last) AS shortest,
        count(CASE WHEN known_by LIKE '%rotation_succeeded%' THEN 1 END) AS rotations
    FROM steps
    GROUP BY secret_id
),
steady AS (
    SELECT
        *,
        -- Moments are whole seconds, so counting in seconds loses nothing.
        last_at + $slack + arrow_cast(CAST(date_part('epoch', usual) * $factor AS BIGINT) * 1000000, 'Duration(Microsecond)') AS due_at
    FROM rhythms
    WHERE usual >= $least
        AND (
            -- Changed by a rotation: two are a schedule. One interval may be that of a test, so it has to be a long one.
            (rotations >= 2 AND (intervals >= 2 OR usual >= INTERVAL '14 days'))
            -- Changed by hand: three times in a rhythm are a habit.
            OR (intervals >= 3 AND usual - shortest <= shortest)
        )
),
overdue AS (
    SELECT steady.*, secret.secret_account, secret.secret_region
    FROM steady
    JOIN secrets AS secret ON secret.secret_id = steady.secret_id
    WHERE secret.deleted_at IS NULL
        AND steady.due_at <= $as_of
        -- Somebody has switched it off and not on again.
        AND (secret.rotation_cancelled_at IS NULL OR secret.rotation_cancelled_at < steady.last_at)
),
-- A change may stand in what the logs lack: then nothing can be said.
seen AS (
    SELECT
        overdue.secret_id,
        count(*) AS hours,
        count(CASE WHEN coverage.state = 'gap' THEN 1 END) AS gap_hours
    FROM overdue
    JOIN coverage
        ON coverage.account_id = overdue.secret_account
        AND coverage.region = overdue.secret_region
        AND coverage.hour_at >= date_trunc('hour', overdue.last_at)
        AND coverage.hour_at < overdue.due_at
    GROUP BY overdue.secret_id
)
SELECT
    overdue.due_at AS event_at,
    CAST(NULL AS VARCHAR) AS event_id,
    CAST(NULL AS VARCHAR) AS event_name,
    CAST(NULL AS VARCHAR) AS principal_id,
    overdue.secret_id,
    overdue.secret_account AS account_id,
    overdue.secret_region AS region,
    CAST(NULL AS VARCHAR) AS source_ip,
    CAST(NULL AS VARCHAR) AS object_key,
    CAST(NULL AS BIGINT) AS record_index,
    overdue.last_at,
    overdue.due_at - overdue.last_at AS idle,
    overdue.due_at - overdue.last_at AS allowed,
    overdue.usual,
    overdue.changes,
    overdue.intervals,
    0 AS usual_seen
FROM overdue
JOIN seen ON seen.secret_id = overdue.secret_id AND seen.gap_hours = 0
ORDER BY overdue.secret_id
