-- Reads of production secrets by people who do not read them habitually.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
),
reads AS (
    SELECT
        event.*,
        -- A path read as a whole has the names under it.
        CASE WHEN event.secret_resolution = 'path' THEN event.secret_name || '/' ELSE event.secret_name END AS matched_name
    FROM new_events AS event
    LEFT JOIN people ON people.principal_id = event.principal_id
    WHERE event.action = 'read'
        AND event.outcome = 'ok'
        AND event.secret_id IS NOT NULL
        AND event.invoked_by IS NULL
        AND event.reader_class = 'consumer'
        -- Whoever read the secret in its first days is one of its readers, as long as that goes on.
        AND event.event_at >= coalesce(event.secret_first_seen_at, event.principal_first_at) + $learning
        AND (
            event.pair_active_days = 0
            OR (
                event.pair_active_days < $habit_days
                AND event.pair_first_read_at >= coalesce(event.secret_first_seen_at, event.principal_first_at) + $learning
            )
        )
        AND (
            people.principal_id IS NOT NULL
            OR event.principal_kind = 'identity_center'
            OR event.credential_kind = 'console'
            OR regexp_like(coalesce(event.session_name, ''), '^[^@ ]+@[^@ ]+[.][A-Za-z]+$')
        )
),
production AS (
    SELECT reads.account_id, reads.event_id, reads.secret_id
    FROM reads
    JOIN (SELECT unnest($secrets) AS pattern) AS known
        ON glob_match(known.pattern, reads.matched_name)
        OR glob_match(known.pattern, ltrim(reads.matched_name, '/'))
        OR glob_match(known.pattern, reads.secret_id)
    UNION
    SELECT reads.account_id, reads.event_id, reads.secret_id
    FROM reads
    JOIN (SELECT unnest($accounts) AS pattern) AS known ON glob_match(known.pattern, reads.secret_account)
)
SELECT
    reads.event_at, reads.event_id, reads.event_name, reads.principal_id, reads.secret_id, reads.account_id, reads.region,
    reads.source_ip, reads.object_key, reads.record_index,
    CASE WHEN reads.pair_active_days > 0 THEN 'low' END AS severity,
    reads.session_name,
    coalesce(reads.session_name, arn_part(reads.principal_id, 'resource'), reads.principal_id) AS who,
    reads.pair_active_days, reads.principal_active_days,
    -- The person itself is a reader after its first use.
    greatest(reads.secret_reader_count - CASE WHEN reads.is_first_use THEN 0 ELSE 1 END, 0) AS other_readers
FROM reads
JOIN production
    ON production.account_id = reads.account_id
    AND production.event_id = reads.event_id
    AND production.secret_id = reads.secret_id
ORDER BY reads.event_at, reads.event_id, reads.secret_id
