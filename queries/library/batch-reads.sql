-- name: batch-reads
-- title: Many secrets at once
-- description: Hours in which one principal used many different secrets, and BatchGetSecretValue calls: what a collector
--   of secrets looks like.
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
-- param: at_least integer 10 How many different secrets in an hour are many
SELECT
    date_trunc('hour', event_at) AS hour_at,
    principal_id,
    count(DISTINCT secret_id) FILTER (WHERE action = 'read' AND outcome = 'ok') AS secret_count,
    count(*) FILTER (WHERE event_name = 'BatchGetSecretValue') AS batch_count,
    count(*) FILTER (WHERE outcome = 'denied') AS denied_count,
    array_sort(array_agg(DISTINCT source_ip)) AS source_ips
FROM access_events
WHERE event_at > $now - $window AND event_at <= $now
GROUP BY date_trunc('hour', event_at), principal_id
HAVING count(DISTINCT secret_id) FILTER (WHERE action = 'read' AND outcome = 'ok') >= $at_least
    OR count(*) FILTER (WHERE event_name = 'BatchGetSecretValue') > 0
ORDER BY hour_at DESC, secret_count DESC, principal_id
