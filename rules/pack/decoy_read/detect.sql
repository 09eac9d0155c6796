-- Touches of secrets that are bait.
WITH touches AS (
    SELECT *
    FROM new_events
    WHERE secret_id IS NOT NULL
        AND (
            action IN ('read', 'describe', 'invoke', 'decrypt')
            -- Keeping bait in order is no touch, but being refused is.
            OR (outcome = 'denied' AND action <> 'list')
        )
        -- For Secrets Manager KMS repeats what its own event says.
        AND NOT (action = 'decrypt' AND secret_kind = 'secretsmanager' AND invoked_by IS NOT NULL)
        -- Upkeep describes everything, and reads again what it has read before.
        AND NOT (reader_class = 'upkeep' AND action = 'describe' AND outcome <> 'denied')
        AND NOT (reader_class <> 'consumer' AND coalesce(pair_active_days, 0) > 0)
),
baits AS (
    SELECT touch.account_id, touch.event_id, touch.secret_id
    FROM touches AS touch
    JOIN (SELECT unnest($decoys) AS pattern) AS bait
        ON glob_match(bait.pattern, touch.secret_id)
        OR (
            touch.secret_resolution <> 'path'
            AND glob_match(bait.pattern, coalesce(touch.secret_name, ''))
        )
        -- A path read as a whole that covers the bait.
        OR (
            touch.secret_resolution = 'path'
            AND coalesce(touch.pair_active_days, 0) = 0
            AND starts_with(bait.pattern, rtrim(touch.secret_name, '/') || '/')
        )
),
-- What KMS shows of a path that is read habitually.
habitual AS (
    SELECT DISTINCT touch.account_id, touch.event_id, touch.secret_id
    FROM touches AS touch
    JOIN pairs AS habit
        ON habit.principal_id = touch.principal_id
        AND habit.secret_id LIKE '%:parameter/%*'
        AND starts_with(touch.secret_id, rtrim(habit.secret_id, '*'))
        AND habit.first_read_at < date_trunc('day', touch.event_at)
    WHERE touch.action = 'decrypt' AND touch.invoked_by IS NOT NULL
)
SELECT DISTINCT
    touch.event_at, touch.event_id, touch.event_name, touch.principal_id, touch.secret_id, touch.account_id, touch.region,
    touch.source_ip, touch.object_key, touch.record_index,
    CASE
        WHEN touch.outcome <> 'ok' THEN 'tried'
        WHEN touch.action = 'describe' THEN 'looked at'
        WHEN touch.action = 'invoke' THEN 'called'
        ELSE 'read'
    END AS did,
    touch.outcome,
    coalesce(touch.secret_reader_count, 0) AS secret_reader_count,
    coalesce(touch.pair_active_days, 0) AS pair_active_days,
    coalesce(touch.principal_active_days, 0) AS principal_active_days
FROM touches AS touch
JOIN baits ON baits.account_id = touch.account_id AND baits.event_id = touch.event_id AND baits.secret_id = touch.secret_id
LEFT JOIN habitual
    ON habitual.account_id = touch.account_id
    AND habitual.event_id = touch.event_id
    AND habitual.secret_id = touch.secret_id
WHERE habitual.event_id IS NULL
ORDER BY touch.event_at, touch.event_id, touch.secret_id
