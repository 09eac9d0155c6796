-- Did we see everything: one row for each account, region and hour from its first object to a quarter of an hour before
-- the newest delivery (CloudTrail takes that long).
-- An hour belongs to the objects whose newest event lies in it; events that came alone (EventBridge) do not count. A
-- silence (the time between two objects) is a gap when it is longer than this account and region's own silences make
-- likely: beyond mean * ln(100 * number of silences), which one in a hundred histories of a steady arrival would show
-- once, and not a habit (nights, weekends: at least three silences of four fifths its length, one in ten days or more).
-- An object that comes late, up to 30 days, fills its hour.
--   account_id: the account
--   region: the region
--   hour_at: the hour's start
--   state: seen (complete: objects, in time), late (objects, all delivered more than an hour after the hour's end), quiet (no
--     object, in a silence that is usual here) or gap (no object, in a silence that is not; or an object that is in
--     quarantine as a whole, so that nobody knows what it holds)
--   object_count: how many objects belong to the hour and were read
--   silent_from: for an hour without objects, the newest event before it; for one with an unread object, its start
--   silent_until: for an hour without objects, the next event after it, null while the silence lasts; for one with an unread
--     object, its end
--   quarantined_count: how many objects of the hour are in quarantine, as a whole or with single records
WITH hourly AS (
    SELECT
        account_id, region,
        date_trunc('hour', at) AS hour_at,
        min(at) AS first_at,
        max(at) AS last_at,
        min(CASE WHEN is_read THEN delivered_at END) AS delivered_at,
        max(delivered_at) AS last_delivered_at,
        count(*) AS file_count,
        count(CASE WHEN is_read THEN 1 END) AS object_count,
        count(CASE WHEN in_quarantine THEN 1 END) AS quarantined_count
    FROM deliveries
    GROUP BY account_id, region, date_trunc('hour', at)
),
-- Each hour with objects, and the silence that follows it.
placed AS (
    SELECT
        account_id, region, hour_at, first_at, last_at, delivered_at, file_count, object_count, quarantined_count,
        -- CloudTrail delivers within about 15 minutes: what is younger may still be on its way.
        max(last_delivered_at) OVER () - INTERVAL '15 minutes' AS horizon_at,
        lead(hour_at) OVER (PARTITION BY account_id, region ORDER BY hour_at) AS next_hour_at,
        lead(first_at) OVER (PARTITION BY account_id, region ORDER BY hour_at) AS silent_until,
        sum(file_count) OVER (PARTITION BY account_id, region) - 1 AS silence_count,
        date_part('epoch', max(last_at) OVER (PARTITION BY account_id, region) - min(first_at) OVER (PARTITION BY account_id, region)) / 60.0 AS span_minutes,
        min(hour_at) OVER (PARTITION BY account_id, region) AS first_hour_at
    FROM hourly
),
followed AS (
    SELECT
        *,
        silent_to_hour_at > hour_at AS is_silence,
        ln(greatest(minutes, 1.0)) AS log_minutes
    FROM (
        SELECT
            *,
            coalesce(next_hour_at - INTERVAL '1 hour', greatest(hour_at, date_trunc('hour', horizon_at))) AS silent_to_hour_at,
            date_part('epoch', coalesce(silent_until, greatest(last_at, horizon_at)) - last_at) / 60.0 AS minutes
        FROM placed
    )
),
-- How many silences that swallow a whole hour are about as long or longer: a span of 0.2231 in the logarithm is a factor
-- of 0.8.
compared AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY account_id, region, is_silence ORDER BY log_minutes
            RANGE BETWEEN 0.2231 PRECEDING AND UNBOUNDED FOLLOWING
        ) AS alike_count,
        date_part('epoch', max(silent_to_hour_at) OVER (PARTITION BY account_id, region) - first_hour_at) / 86400.0 + 1.0 / 24.0 AS days
    FROM followed
),
grid AS (
    SELECT
        account_id, region, hour_at AS seen_hour_at, last_at, delivered_at, file_count, object_count, quarantined_count, silent_until,
        horizon_at,
        (silence_count > 0 AND minutes <= span_minutes / silence_count * ln(100.0 * silence_count))
            OR silence_count = 0
            OR (alike_count >= 3 AND alike_count * 10 >= days) AS is_usual,
        arrow_cast(unnest(generate_series(hour_at, silent_to_hour_at, INTERVAL '1 hour')), 'Timestamp(Microsecond, Some("UTC"))') AS hour_at
    FROM compared
)
SELECT
    account_id, region, hour_at,
    CASE
        WHEN hour_at = seen_hour_at AND file_count > object_count THEN 'gap'
        WHEN hour_at = seen_hour_at AND delivered_at > hour_at + INTERVAL '2 hours' THEN 'late'
        WHEN hour_at = seen_hour_at THEN 'seen'
        WHEN is_usual THEN 'quiet'
        ELSE 'gap'
    END AS state,
    CASE WHEN hour_at = seen_hour_at THEN object_count ELSE 0 END AS object_count,
    CASE
        WHEN hour_at <> seen_hour_at THEN last_at
        WHEN file_count > object_count THEN hour_at
    END AS silent_from,
    CASE
        WHEN hour_at <> seen_hour_at THEN silent_until
        WHEN file_count > object_count THEN hour_at + INTERVAL '1 hour'
    END AS silent_until,
    CASE WHEN hour_at = seen_hour_at THEN quarantined_count ELSE 0 END AS quarantined_count
FROM grid
WHERE hour_at = seen_hour_at OR hour_at + INTERVAL '1 hour' <= horizon_at
