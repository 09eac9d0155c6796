-- name: what-it-reads
-- title: What a principal read
-- description: Every secret that the principal used, with its first and last use in the window and whether other
--   principals use it too.
-- param: principal text - A principal's ARN, or a glob such as *:role/ci-*
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    principal_id,
    secret_id,
    count(*) AS read_count,
    min(event_at) AS first_read_at,
    max(event_at) AS last_read_at,
    count(DISTINCT event_date) AS days_active
FROM access_events
WHERE glob_match($principal, principal_id)
    AND action IN ('read', 'invoke') AND outcome = 'ok' AND secret_id IS NOT NULL
    AND event_at > $now - $window AND event_at <= $now
GROUP BY principal_id, secret_id
ORDER BY principal_id, last_read_at DESC, secret_id
