-- Since when each account is silent in all its regions, and how long a silence is usual there: one row each.
-- A silence is unusual when it is longer than the silences before it make likely, as in `coverage`: beyond
-- mean * ln(100 * number of silences), and beyond five fourths of what is a habit (nights, weekends: two silences at
-- least as long, and with this one such a silence in ten days or more).
-- Compare with the time now: `silent_since + usual_silence_minutes` in the past means that something stopped, here or before.
--   account_id: the account
--   silent_since: the newest delivery
--   usual_silence_minutes: how long a silence after it is usual; null with fewer than two deliveries
--   silence_count: how many silences that rests on: few tell little
--   last_object_at: when the lake took in the newest object: long ago for every account means that this side stopped
WITH timed AS (
    SELECT
        account_id, delivered_at, committed_at,
        date_part('epoch', delivered_at - lag(delivered_at) OVER (PARTITION BY account_id ORDER BY delivered_at)) / 60.0 AS minutes
    FROM deliveries
),
ranked AS (
    SELECT
        account_id, delivered_at, committed_at, minutes,
        row_number() OVER (PARTITION BY account_id ORDER BY minutes DESC NULLS LAST) AS place,
        date_part('epoch', max(delivered_at) OVER (PARTITION BY account_id) - min(delivered_at) OVER (PARTITION BY account_id)) / 86400.0 AS days
    FROM timed
)
SELECT
    account_id,
    max(delivered_at) AS silent_since,
    CASE
        WHEN count(minutes) > 0 THEN CAST(ceil(greatest(
            avg(minutes) * ln(100.0 * count(minutes)),
            -- The longest silence that, with one more like it, is a habit.
            coalesce(max(CASE WHEN place >= 2 AND (place + 1) * 10 >= days THEN minutes END) / 0.8, 0.0)
        )) AS BIGINT)
    END AS usual_silence_minutes,
    count(minutes) AS silence_count,
    max(committed_at) AS last_object_at
FROM ranked
GROUP BY account_id
