-- name: coverage-gaps
-- title: Holes in the log
-- description: Silences that are longer than usual for their account and region, and hours whose files came late. What
--   happened in a gap is not in the lake.
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    account_id,
    region,
    state,
    min(hour_at) AS first_hour_at,
    max(hour_at) AS last_hour_at,
    count(*) AS hour_count
FROM coverage
WHERE state IN ('gap', 'late') AND hour_at > $now - $window AND hour_at <= $now
GROUP BY account_id, region, state, silent_from
ORDER BY first_hour_at DESC, account_id, region
