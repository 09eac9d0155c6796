-- Did we see everything: one row for each account, region and hour from its first object to a quarter of an hour before
-- the newest delivery (CloudTrail takes that long).
-- An hour belongs to the objects whose newest event lies in it. A silence (the time between two objects) is a gap when it is
-- longer than this account and region's own silences make likely: beyond mean * ln(100 * number of silences), which one
-- in a hundred histories of a steady arrival would show once, and not a habit (nights, weekends: at least
-- three silences of four fifths its length, one in ten days or more).
--   account_id: the account
--   region: the region
--   hour_at: the hour's start
--   state: seen (objects, in time), late (objects, all delivered more than an hour after the hour's end), quiet (no object, in a
--     silence that is usual here) or gap (no object, in a silence that is not)
--   object_count: how many objects belong to the hour
--   silent_from: for an hour without objects, the newest event before it
--   silent_until: for an hour without objects, the next event after it; null while the silence lasts
WITH delivered AS (
    SELECT
        account_id, region, delivered_at,
        -- Times in a file are somebody else's: they never reach past the delivery, nor far before it.
        greatest(least(coalesce(last_event_at, delivered_at), delivered_at), delivered_at - INTERVAL '40 days') AS at
    FROM objects_stored
    WHERE outcome = 'committed' AND content_kind <> 'apigateway_access_log'
        AND account_id IS NOT NULL AND region IS NOT NULL AND delivered_at IS NOT NULL
),
-- CloudTrail delivers within about 15 minutes: what is younger may still be on its way.
horizon_now AS (SELECT max(delivered_at) - INTERVAL '15 minutes' AS horizon_at FROM delivered),
silences AS (
    SELECT
        account_id, region,
        date_part('epoch', at - lag(at) OVER (PARTITION BY account_id, region ORDER BY at)) / 60.0 AS minutes
    FROM delivered
),
usual AS (
    SELECT account_id, region, avg(minutes) * ln(100.0 * count(minutes)) AS likely_minutes
    FROM silences
    WHERE minutes IS NOT NULL
    GROUP BY account_id, region
),
hourly AS (
    SELECT
        account_id, region,
        date_trunc('hour', at) AS hour_at,
        min(at) AS first_at,
        max(at) AS last_at,
        min(delivered_at) AS delivered_at,
        count(*) AS object_count
    FROM delivered
    GROUP BY account_id, region, date_trunc('hour', at)
),
spans AS (
    SELECT
        account_id, region,
        arrow_cast(unnest(generate_series(first_hour, last_hour, INTERVAL '1 hour')), 'Timestamp(Microsecond, Some("UTC"))') AS hour_at
    FROM (
        SELECT
            account_id, region,
            min(hour_at) AS first_hour,
            greatest(max(hour_at), date_trunc('hour', (SELECT horizon_at FROM horizon_now))) AS last_hour
        FROM hourly
        GROUP BY account_id, region
    )
),
grid AS (
    SELECT
        spans.account_id, spans.region, spans.hour_at, hourly.object_count, hourly.delivered_at,
        max(hourly.last_at) OVER (
            PARTITION BY spans.account_id, spans.region ORDER BY spans.hour_at
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS silent_from,
        min(hourly.first_at) OVER (
            PARTITION BY spans.account_id, spans.region ORDER BY spans.hour_at
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS silent_until
    FROM spans
    LEFT JOIN hourly
        ON hourly.account_id = spans.account_id AND hourly.region = spans.region AND hourly.hour_at = spans.hour_at
),
-- Each silence that swallows a whole hour, once.
long_silences AS (
    SELECT
        account_id, region, silent_from,
        date_part('epoch', coalesce(max(silent_until), greatest(silent_from, (SELECT horizon_at FROM horizon_now))) - silent_from) / 60.0 AS minutes
    FROM grid
    WHERE object_count IS NULL
    GROUP BY account_id, region, silent_from
),
-- How many are about as long or longer: a span of 0.2231 in the logarithm is a factor of 0.8.
compared AS (
    SELECT
        account_id, region, silent_from, minutes,
        count(*) OVER (
            PARTITION BY account_id, region ORDER BY log_minutes
            RANGE BETWEEN 0.2231 PRECEDING AND UNBOUNDED FOLLOWING
        ) AS alike_count
    FROM (SELECT *, ln(greatest(minutes, 1.0)) AS log_minutes FROM long_silences)
),
observed AS (
    SELECT account_id, region, count(*) / 24.0 AS days FROM spans GROUP BY account_id, region
),
judged AS (
    SELECT
        compared.account_id, compared.region, compared.silent_from,
        compared.minutes <= coalesce(usual.likely_minutes, compared.minutes)
            OR (compared.alike_count >= 3 AND compared.alike_count * 10 >= observed.days) AS is_usual
    FROM compared
    JOIN observed ON observed.account_id = compared.account_id AND observed.region = compared.region
    LEFT JOIN usual ON usual.account_id = compared.account_id AND usual.region = compared.region
)
SELECT
    grid.account_id, grid.region, grid.hour_at,
    CASE
        WHEN grid.object_count IS NOT NULL AND grid.delivered_at > grid.hour_at + INTERVAL '2 hours' THEN 'late'
        WHEN grid.object_count IS NOT NULL THEN 'seen'
        WHEN coalesce(judged.is_usual, true) THEN 'quiet'
        ELSE 'gap'
    END AS state,
    coalesce(grid.object_count, 0) AS object_count,
    CASE WHEN grid.object_count IS NULL THEN grid.silent_from END AS silent_from,
    CASE WHEN grid.object_count IS NULL THEN grid.silent_until END AS silent_until
FROM grid
LEFT JOIN judged
    ON judged.account_id = grid.account_id AND judged.region = grid.region AND judged.silent_from = grid.silent_from
WHERE grid.object_count IS NOT NULL OR grid.hour_at + INTERVAL '1 hour' <= (SELECT horizon_at FROM horizon_now)
