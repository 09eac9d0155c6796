-- The first successful read of a secret by a principal, after the secret's learning period.
WITH uses AS (
    SELECT *
    FROM new_events
    WHERE action = 'read'
        AND outcome = 'ok'
        AND secret_id IS NOT NULL
        AND reader_class = 'consumer'
),
-- The first of all history: the state remembers which event that was.
first_uses AS (
    SELECT uses.*, false AS is_recreated
    FROM uses
    JOIN pairs AS pair
        ON pair.principal_id = uses.principal_id
        AND pair.secret_id = uses.secret_id
        AND pair.first_event_id = uses.event_id
    UNION ALL
    -- The first under a new unique id: the role was deleted and made again under its old name.
    SELECT uses.*, true AS is_recreated
    FROM uses
    JOIN pairs AS pair
        ON pair.principal_id = uses.principal_id
        AND pair.secret_id = uses.secret_id
        AND pair.first_event_id <> uses.event_id
    JOIN pair_identities AS identity
        ON identity.principal_id = uses.principal_id
        AND identity.secret_id = uses.secret_id
        AND identity.unique_id = uses.principal_unique_id
        AND identity.first_event_id = uses.event_id
    WHERE NOT uses.is_first_use AND EXISTS (
        SELECT 1
        FROM pair_identities AS earlier
        WHERE earlier.principal_id = uses.principal_id
            AND earlier.secret_id = uses.secret_id
            AND earlier.unique_id <> uses.principal_unique_id
            AND earlier.first_read_at < uses.event_at
    )
),
-- When the secret was first seen; a path read as a whole is no secret, it has only its readers.
known_since AS (
    SELECT secret_id, min(seen_at) AS first_seen_at
    FROM (
        SELECT secret_id, first_seen_at AS seen_at FROM secrets
        UNION ALL
        SELECT secret_id, first_read_at AS seen_at FROM pairs
    )
    GROUP BY secret_id
),
-- Who else had used it by then, and how often on the days before.
others AS (
    SELECT first_use.event_id, first_use.account_id, first_use.secret_id, count(*) AS other_readers
    FROM first_uses AS first_use
    JOIN pairs AS other
        ON other.secret_id = first_use.secret_id
        AND other.principal_id <> first_use.principal_id
        AND other.first_read_at < first_use.event_at
    GROUP BY first_use.event_id, first_use.account_id, first_use.secret_id
),
other_days AS (
    SELECT first_use.event_id, first_use.account_id, first_use.secret_id, sum(other.read_count) AS other_reads
    FROM first_uses AS first_use
    JOIN pair_days AS other
        ON other.secret_id = first_use.secret_id
        AND other.principal_id <> first_use.principal_id
        AND other.day_at < date_trunc('day', first_use.event_at)
    GROUP BY first_use.event_id, first_use.account_id, first_use.secret_id
),
-- A rotation under way: its function describes the secret and reads it before it stages anything, which is what makes it
-- known as a rotation function.
rotating AS (
    SELECT DISTINCT first_use.event_id, first_use.account_id, first_use.secret_id
    FROM first_uses AS first_use
    JOIN recent_events AS began
        ON began.secret_id = first_use.secret_id
        AND began.event_at <= first_use.event_at
        AND began.event_at >= first_use.event_at - INTERVAL '15 minutes'
    JOIN recent_events AS described
        ON described.secret_id = first_use.secret_id
        AND described.principal_id = first_use.principal_id
        AND described.event_at <= first_use.event_at
        AND described.event_at >= began.event_at
    WHERE began.event_name = 'RotationStarted' AND described.event_name = 'DescribeSecret' AND described.outcome = 'ok'
)
SELECT
    first_use.event_at, first_use.event_id, first_use.event_name, first_use.principal_id, first_use.secret_id,
    first_use.account_id, first_use.region, first_use.source_ip, first_use.object_key, first_use.record_index,
    CASE
        WHEN first_use.is_recreated OR first_use.principal_kind = 'service' THEN 'low'
        WHEN rotating.event_id IS NOT NULL THEN 'low'
        -- One more secret of a namespace that it uses day by day: a new version of a service.
        WHEN first_use.namespace_days >= $habit_days THEN 'low'
        -- One reader more of what everybody reads: a secret shared on purpose.
        WHEN others.other_readers >= $shared_by THEN 'low'
        -- A principal of today is the first to read what nobody ever read: a new service with secrets made in advance.
        WHEN coalesce(others.other_readers, 0) = 0 AND first_use.principal_first_at >= first_use.event_at - INTERVAL '1 day' THEN 'low'
    END AS severity,
    first_use.is_recreated,
    rotating.event_id IS NOT NULL AS is_rotating,
    coalesce(first_use.namespace_days, 0) AS namespace_days,
    coalesce(first_use.principal_active_days, 0) AS active_days,
    0 AS seen_before,
    first_use.pair_first_read_at,
    first_use.event_at - known_since.first_seen_at AS history,
    coalesce(others.other_readers, 0) AS other_readers,
    -- Somebody whose first use was earlier on the same day counts once.
    greatest(coalesce(other_days.other_reads, 0), coalesce(others.other_readers, 0)) AS other_reads
FROM first_uses AS first_use
JOIN known_since ON known_since.secret_id = first_use.secret_id
LEFT JOIN others
    ON others.event_id = first_use.event_id
    AND others.account_id = first_use.account_id
    AND others.secret_id = first_use.secret_id
LEFT JOIN rotating
    ON rotating.event_id = first_use.event_id
    AND rotating.account_id = first_use.account_id
    AND rotating.secret_id = first_use.secret_id
LEFT JOIN other_days
    ON other_days.event_id = first_use.event_id
    AND other_days.account_id = first_use.account_id
    AND other_days.secret_id = first_use.secret_id
WHERE first_use.event_at >= known_since.first_seen_at + $learning
ORDER BY first_use.event_at, first_use.event_id, first_use.secret_id
