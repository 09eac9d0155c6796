-- Runs of hours that are gaps, with deliveries before and after them. A finding's moment is where the hole begins, so that
-- judging again is the same finding.
WITH gaps AS (
    SELECT
        account_id, region, hour_at,
        -- Hours in a row have the same distance to their number.
        CAST(date_part('epoch', hour_at) / 3600 AS BIGINT)
            - row_number() OVER (PARTITION BY account_id, region ORDER BY hour_at) AS run
    FROM coverage
    WHERE state = 'gap' AND hour_at < $as_of
),
holes AS (
    SELECT account_id, region, min(hour_at) AS from_at, max(hour_at) + INTERVAL '1 hour' AS until_at, count(*) AS hours
    FROM gaps
    GROUP BY account_id, region, run
),
settled AS (
    SELECT * FROM holes WHERE hours >= $least AND until_at + $settle <= $as_of
),
-- A place that delivers on a day now and then has no rhythm that could be broken.
before AS (
    SELECT settled.account_id, settled.region, settled.from_at, least(count(DISTINCT date_trunc('day', hour.hour_at)), 7) AS days_before
    FROM settled
    JOIN coverage AS hour
        ON hour.account_id = settled.account_id
        AND hour.region = settled.region
        AND hour.hour_at >= settled.from_at - INTERVAL '7 days'
        AND hour.hour_at < settled.from_at
    WHERE hour.state IN ('seen', 'late')
    GROUP BY settled.account_id, settled.region, settled.from_at
),
-- While it lasts it is the system's alert.
ended AS (
    SELECT DISTINCT settled.account_id, settled.region, settled.from_at
    FROM settled
    JOIN coverage AS hour
        ON hour.account_id = settled.account_id AND hour.region = settled.region AND hour.hour_at >= settled.until_at
    WHERE hour.state IN ('seen', 'late')
),
-- How the other places fared in these hours.
others AS (
    SELECT
        settled.account_id, settled.region, settled.from_at,
        count(*) AS other_places,
        count(CASE WHEN hour.gap_hours = hour.hours THEN 1 END) AS also_missing
    FROM settled
    JOIN (
        SELECT
            hole.account_id, hole.region, hole.from_at, other.account_id AS other_account, other.region AS other_region,
            count(*) AS hours,
            count(CASE WHEN other.state = 'gap' THEN 1 END) AS gap_hours
        FROM settled AS hole
        JOIN coverage AS other ON other.hour_at >= hole.from_at AND other.hour_at < hole.until_at
        WHERE other.account_id <> hole.account_id OR other.region <> hole.region
        GROUP BY hole.account_id, hole.region, hole.from_at, other.account_id, other.region
    ) AS hour
        ON hour.account_id = settled.account_id AND hour.region = settled.region AND hour.from_at = settled.from_at
    GROUP BY settled.account_id, settled.region, settled.from_at
)
SELECT
    settled.from_at AS event_at,
    CAST(NULL AS VARCHAR) AS event_id,
    CAST(NULL AS VARCHAR) AS event_name,
    CAST(NULL AS VARCHAR) AS principal_id,
    CAST(NULL AS VARCHAR) AS secret_id,
    settled.account_id,
    settled.region,
    CAST(NULL AS VARCHAR) AS source_ip,
    CAST(NULL AS VARCHAR) AS object_key,
    CAST(NULL AS BIGINT) AS record_index,
    CASE WHEN others.also_missing > 0 AND others.also_missing = others.other_places THEN 'low' END AS severity,
    settled.until_at,
    settled.hours,
    before.days_before,
    greatest(7 - before.days_before, 0) AS days_missing,
    7 AS week,
    coalesce(others.other_places, 0) AS other_places,
    coalesce(others.also_missing, 0) AS also_missing,
    1 + coalesce(others.other_places, 0) AS place_count
FROM settled
JOIN ended ON ended.account_id = settled.account_id AND ended.region = settled.region AND ended.from_at = settled.from_at
JOIN before
    ON before.account_id = settled.account_id AND before.region = settled.region AND before.from_at = settled.from_at
LEFT JOIN others
    ON others.account_id = settled.account_id AND others.region = settled.region AND others.from_at = settled.from_at
WHERE before.days_before >= $steady_days
ORDER BY settled.from_at, settled.account_id, settled.region
