-- Every value that a secret had: its first and each change, the signals of one change merged into one row.
--   secret_id: the secret
--   changed_at: the earliest signal
--   version_id: the version that became current, where a signal tells
--   is_first: whether the value came with the secret
--   known_by: the signals, sorted, joined by a comma
--   principal_id: who gave the earliest signal (of several in one moment, a caller rather than AWS itself)
WITH signals AS (
    SELECT
        secret_id, event_at, principal_id, signal,
        CASE WHEN principal_kind = 'service' THEN 1 ELSE 0 END AS by_service,
        -- A signal without a version tells of the versioned one beside it, if there is one.
        coalesce(version_id, max(version_id) OVER (
            PARTITION BY secret_id ORDER BY event_at
            RANGE BETWEEN INTERVAL '5 minutes' PRECEDING AND INTERVAL '5 minutes' FOLLOWING
        )) AS version_id
    FROM rotation_signals
),
steps AS (
    SELECT
        *,
        CASE
            WHEN lag(event_at) OVER in_time IS NULL THEN 1
            -- The same version told again, without another in between, is the same change.
            WHEN version_id = lag(version_id) OVER in_time THEN 0
            WHEN version_id IS NULL AND lag(version_id) OVER in_time IS NULL
                AND event_at - lag(event_at) OVER in_time <= INTERVAL '5 minutes' THEN 0
            ELSE 1
        END AS begins
    FROM signals
    WINDOW in_time AS (PARTITION BY secret_id ORDER BY event_at, by_service, signal)
),
numbered AS (
    SELECT
        *,
        sum(begins) OVER (
            PARTITION BY secret_id ORDER BY event_at, by_service, signal ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS change_number
    FROM steps
)
SELECT
    secret_id,
    min(event_at) AS changed_at,
    max(version_id) AS version_id,
    bool_or(signal = 'created') AS is_first,
    array_to_string(array_sort(array_agg(DISTINCT signal)), ', ') AS known_by,
    first_value(principal_id ORDER BY event_at, by_service, signal) AS principal_id
FROM numbered
GROUP BY secret_id, change_number
