-- Reads of a version that was superseded long ago, by a reader that kept coming.
WITH reads AS (
    SELECT *
    FROM new_events
    WHERE action = 'read'
        AND outcome = 'ok'
        AND secret_id IS NOT NULL
        AND reader_class = 'consumer'
        AND (version_id IS NOT NULL OR version_stage = 'AWSPREVIOUS')
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
stale AS (
    SELECT reads.account_id, reads.event_id, reads.secret_id, reads.principal_id, reads.event_at, old.superseded_at
    FROM (
        SELECT account_id, event_id, secret_id, max(superseded_at) AS superseded_at
        FROM (SELECT * FROM by_version UNION ALL SELECT * FROM by_stage)
        WHERE superseded_at IS NOT NULL
        GROUP BY account_id, event_id, secret_id
    ) AS old
    JOIN reads ON reads.account_id = old.account_id AND reads.event_id = old.event_id AND reads.secret_id = old.secret_id
    WHERE reads.event_at > old.superseded_at + $stale_for
),
-- Use of the secret on whole days between the change and this read: by the reader itself, and by others.
days AS (
    SELECT
        stale.account_id, stale.event_id, stale.secret_id,
        count(CASE WHEN used.principal_id = stale.principal_id THEN 1 END) AS days_since,
        count(DISTINCT CASE WHEN used.principal_id <> stale.principal_id THEN used.principal_id END) AS moved_on
    FROM stale
    JOIN pair_days AS used
        ON used.secret_id = stale.secret_id
        AND used.day_at > stale.superseded_at
        AND used.day_at < date_trunc('day', stale.event_at)
    JOIN pairs AS pair
        ON pair.secret_id = used.secret_id AND pair.principal_id = used.principal_id AND pair.reader_class = 'consumer'
    GROUP BY stale.account_id, stale.event_id, stale.secret_id
)
SELECT
    reads.event_at, reads.event_id, reads.event_name, reads.principal_id, reads.secret_id,
    reads.account_id, reads.region, reads.source_ip, reads.object_key, reads.record_index,
    reads.version_id,
    reads.event_at - stale.superseded_at AS since,
    days.days_since,
    days.moved_on,
    1 AS stuck,
    days.moved_on + 1 AS readers_since
FROM reads
JOIN stale ON stale.account_id = reads.account_id AND stale.event_id = reads.event_id AND stale.secret_id = reads.secret_id
JOIN days ON days.account_id = reads.account_id AND days.event_id = reads.event_id AND days.secret_id = reads.secret_id
WHERE days.days_since >= $days AND days.moved_on >= 1
ORDER BY reads.event_at, reads.event_id, reads.secret_id
