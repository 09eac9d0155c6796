-- What waits in quarantine: one row for each of the three commonest reasons of an account and region.
--   account_id, region: where, as the object's key tells; null where it does not
--   reason: what is wrong, as much of it as fits a sentence
--   reason_count: rows with that reason
--   total_count, object_count: rows of the account and region, and how many of them are whole objects
--   since: the earliest delivery among them
--   happened_at: the newest delivery among them
--   known_at: when the newest of them was first found
WITH reasons AS (
    SELECT
        account_id, region, left(reason, 160) AS reason,
        count(*) AS reason_count,
        count(*) FILTER (WHERE record_index < 0) AS object_count,
        min(coalesce(delivered_at, since)) AS delivered_since,
        max(coalesce(delivered_at, since)) AS happened_at,
        -- Reading it again in vain is no news.
        max(since) AS known_at
    FROM quarantine
    GROUP BY account_id, region, left(reason, 160)
),
ranked AS (
    SELECT
        account_id, region, reason, reason_count,
        sum(reason_count) OVER place AS total_count,
        sum(object_count) OVER place AS object_count,
        min(delivered_since) OVER place AS since,
        max(happened_at) OVER place AS happened_at,
        max(known_at) OVER place AS known_at,
        row_number() OVER (PARTITION BY account_id, region ORDER BY reason_count DESC, reason) AS rank
    FROM reasons
    WINDOW place AS (PARTITION BY account_id, region)
)
SELECT account_id, region, reason, reason_count, total_count, object_count, since, happened_at, known_at
FROM ranked
WHERE rank <= 3
ORDER BY account_id, region, rank
