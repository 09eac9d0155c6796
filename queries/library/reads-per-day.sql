-- name: reads-per-day
-- title: Uses per day
-- description: Uses, attempts, readers and secrets for each UTC day.
-- param: secret text * A secret's name or ARN, or a glob such as payments/*
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    event_date,
    count(*) FILTER (WHERE outcome = 'ok') AS read_count,
    count(*) FILTER (WHERE outcome = 'denied') AS denied_count,
    count(DISTINCT principal_id) AS principal_count,
    count(DISTINCT secret_id) AS secret_count
FROM access_events
WHERE action IN ('read', 'invoke')
    AND (glob_match($secret, secret_id) OR glob_match($secret, secret_name))
    AND event_at > $now - $window AND event_at <= $now
GROUP BY event_date
ORDER BY event_date
