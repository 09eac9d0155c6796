-- The first use of a secret after a long time without any, by somebody for whom that is new.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
),
uses AS (
    SELECT
        event.*,
        secret_last_use_day_at IS NOT NULL AS was_used,
        -- The last use was some time on its day; the days after it are what is certain.
        date_trunc('day', event_at)
            - coalesce(secret_last_use_day_at + INTERVAL '1 day', secret_first_seen_at) AS idle,
        date_trunc('day', event_at)
            >= coalesce(secret_last_use_day_at + INTERVAL '1 day', secret_first_seen_at) + $dormant_for AS is_dormant,
        pair_first_read_at < date_trunc('day', event_at) AS is_return,
        people.principal_id IS NOT NULL
            OR principal_kind IN ('identity_center', 'user')
            OR credential_kind = 'console'
            OR regexp_like(coalesce(session_name, ''), '^[^@ ]+@[^@ ]+[.][A-Za-z]+$') AS is_person
    FROM new_events AS event
    LEFT JOIN people ON people.principal_id = event.principal_id
    WHERE event.action IN ('read', 'invoke')
        AND event.outcome = 'ok'
        AND event.secret_id IS NOT NULL
        AND event.secret_resolution <> 'path'
        AND event.reader_class = 'consumer'
        -- An AWS service reads its own managed secrets when it needs to.
        AND event.principal_kind <> 'service'
        AND event.secret_first_seen_at IS NOT NULL
        -- A rotation is under way: its function is not known as one before it has staged a value.
        AND NOT EXISTS (
            SELECT 1
            FROM rotation_attempts AS rotation
            WHERE rotation.secret_id = event.secret_id
                AND event.event_at BETWEEN rotation.started_at AND rotation.started_at + INTERVAL '15 minutes'
        )
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index,
    CASE WHEN is_return OR NOT was_used THEN 'low' END AS severity,
    CASE action WHEN 'invoke' THEN 'called' ELSE 'read' END AS verb,
    was_used, coalesce(is_return, false) AS is_return, idle, secret_reader_count,
    0 AS used_days,
    CAST(floor(CAST(idle AS BIGINT) / 86400000000) AS BIGINT) AS idle_days
FROM uses
WHERE is_dormant
    AND (NOT coalesce(is_return, false) OR is_person)
ORDER BY event_at, event_id, secret_id
