-- First calls of API resources. The API is the part of the id before the stage, so that paths without a template, which
-- differ from call to call, do not make a caller new again and again: a path seen for the first time is still learned.
WITH calls AS (
    SELECT *, split_part(secret_id, '/', 1) AS api
    FROM new_events
    WHERE action = 'invoke'
        AND secret_kind = 'api'
        AND outcome IN ('ok', 'denied')
        AND reader_class = 'consumer'
        AND principal_kind <> 'unknown'
),
-- What else of the same API the caller had called by then.
known AS (
    SELECT calls.account_id, calls.event_id, calls.secret_id, count(*) AS known_resources
    FROM calls
    JOIN pairs AS pair
        ON pair.principal_id = calls.principal_id
        AND split_part(pair.secret_id, '/', 1) = calls.api
        AND pair.secret_id <> calls.secret_id
        AND pair.first_read_at < calls.event_at
    GROUP BY calls.account_id, calls.event_id, calls.secret_id
)
SELECT
    calls.event_at, calls.event_id, calls.event_name, calls.principal_id, calls.secret_id,
    calls.account_id, calls.region, calls.source_ip, calls.object_key, calls.record_index,
    CASE WHEN calls.outcome = 'denied' OR known.known_resources > 0 THEN 'low' END AS severity,
    calls.api,
    calls.outcome = 'ok' AS succeeded,
    coalesce(known.known_resources, 0) AS known_resources,
    coalesce(calls.secret_reader_count, 0) AS other_callers,
    coalesce(calls.pair_active_days, 0) AS pair_days,
    coalesce(calls.principal_active_days, 0) AS active_days
FROM calls
LEFT JOIN known
    ON known.account_id = calls.account_id AND known.event_id = calls.event_id AND known.secret_id = calls.secret_id
WHERE
    CASE
        WHEN calls.outcome = 'ok' THEN calls.is_first_use AND calls.event_at >= calls.secret_first_seen_at + $learning
        ELSE $attempts AND calls.pair_first_read_at IS NULL AND known.known_resources IS NULL
    END
ORDER BY calls.event_at, calls.event_id, calls.secret_id
