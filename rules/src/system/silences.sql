-- When each account and region last delivered, and how long it is usually silent: one row each.
-- The judging of the view `coverage`, for the silence that lasts at $now: beyond mean * ln(100 * number of silences) no
-- steady arrival stays silent, and a silence is a habit (nights, weekends) when at least three of the last 45 days,
-- one in ten days or more, were four fifths as long.
--   account_id, region: where
--   silent_since: the newest event that was delivered
--   silent_minutes: from then until $now, less the quarter of an hour that a delivery takes
--   usual_minutes: the longest silence that is likely here
--   is_habit: whether silences as long as this one are usual here
--   object_count: objects of the last 45 days before silent_since
WITH delivered AS (
    SELECT
        account_id, region,
        -- Times in a file are somebody else's: they never reach past the delivery, nor far before it.
        greatest(least(coalesce(last_event_at, delivered_at), delivered_at), delivered_at - INTERVAL '40 days') AS at
    FROM objects
    WHERE outcome = 'committed' AND content_kind NOT IN ('apigateway_access_log', 'eventbridge')
        AND account_id IS NOT NULL AND region IS NOT NULL
        -- A key may claim a delivery that is still to come.
        AND delivered_at <= $now + INTERVAL '1 hour'
),
newest AS (
    SELECT account_id, region, max(at) AS silent_since FROM delivered GROUP BY account_id, region
),
recent AS (
    SELECT delivered.account_id, delivered.region, delivered.at, newest.silent_since
    FROM delivered
    JOIN newest ON newest.account_id = delivered.account_id AND newest.region = delivered.region
    WHERE delivered.at >= newest.silent_since - INTERVAL '45 days'
),
past AS (
    SELECT
        account_id, region, at, silent_since,
        date_part('epoch', at - lag(at) OVER (PARTITION BY account_id, region ORDER BY at)) / 60.0 AS minutes,
        (date_part('epoch', $now - silent_since) / 60.0) - 15.0 AS silent_minutes
    FROM recent
)
SELECT
    account_id, region,
    max(silent_since) AS silent_since,
    max(silent_minutes) AS silent_minutes,
    coalesce(avg(minutes) * ln(100.0 * greatest(count(minutes), 1)), 0.0) AS usual_minutes,
    count(*) FILTER (WHERE minutes >= 0.8 * silent_minutes) >= 2
        AND (count(*) FILTER (WHERE minutes >= 0.8 * silent_minutes) + 1) * 10
            >= date_part('epoch', $now - min(at)) / 86400.0 AS is_habit,
    count(*) AS object_count
FROM past
GROUP BY account_id, region
ORDER BY account_id, region
