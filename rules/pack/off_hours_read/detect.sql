-- Reads by people at an hour that the principal's days do not know.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
)
SELECT
    event.event_at, event.event_id, event.event_name, event.principal_id, event.secret_id, event.account_id, event.region,
    event.source_ip, event.object_key, event.record_index,
    event.session_name,
    coalesce(event.session_name, arn_part(event.principal_id, 'resource'), event.principal_id) AS who,
    event.hour_days, event.principal_active_days,
    -- The hour and its neighbours.
    concat(lpad(CAST((CAST(date_part('hour', event.event_at) AS BIGINT) + 23) % 24 AS VARCHAR), 2, '0'), ':00') AS hour_from,
    concat(lpad(CAST((CAST(date_part('hour', event.event_at) AS BIGINT) + 2) % 24 AS VARCHAR), 2, '0'), ':00') AS hour_to
FROM new_events AS event
LEFT JOIN people ON people.principal_id = event.principal_id
WHERE event.action = 'read'
    AND event.outcome = 'ok'
    AND event.secret_id IS NOT NULL
    -- A service that acts for somebody acts when it likes.
    AND event.invoked_by IS NULL
    AND event.reader_class = 'consumer'
    AND event.hour_days = 0
    AND event.principal_active_days >= $min_days
    AND (
        people.principal_id IS NOT NULL
        OR event.principal_kind = 'identity_center'
        OR event.credential_kind = 'console'
        OR regexp_like(coalesce(event.session_name, ''), '^[^@ ]+@[^@ ]+[.][A-Za-z]+$')
    )
ORDER BY event.event_at, event.event_id, event.secret_id
