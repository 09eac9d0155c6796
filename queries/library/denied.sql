-- name: denied
-- title: Attempts that were denied
-- description: Who tried to use what without being allowed, folded by principal, secret and error. Throttled calls are
--   not attempts at something forbidden and are left out.
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    principal_id,
    secret_id,
    event_name,
    error_code,
    count(*) AS attempt_count,
    min(event_at) AS first_at,
    max(event_at) AS last_at,
    array_sort(array_agg(DISTINCT source_ip)) AS source_ips
FROM access_events
WHERE outcome = 'denied' AND event_at > $now - $window AND event_at <= $now
GROUP BY principal_id, secret_id, event_name, error_code
ORDER BY last_at DESC, principal_id, secret_id
