-- name: who-read
-- title: Who read a secret
-- description: Every principal that used the secret, newest first, with how often, from where and with what. Failed
--   attempts are in `denied`.
-- param: secret text - A secret's name or ARN, or a glob such as payments/*
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    principal_id,
    secret_name,
    count(*) AS read_count,
    min(event_at) AS first_read_at,
    max(event_at) AS last_read_at,
    count(DISTINCT event_date) AS days_active,
    array_sort(array_agg(DISTINCT coalesce(source_ip, vpc_endpoint_id, invoked_by))) AS sources,
    array_sort(array_agg(DISTINCT user_agent_family)) AS user_agents
FROM access_events
WHERE (glob_match($secret, secret_id) OR glob_match($secret, secret_name))
    AND action IN ('read', 'invoke') AND outcome = 'ok'
    AND event_at > $now - $window AND event_at <= $now
GROUP BY principal_id, secret_name
ORDER BY last_read_at DESC, principal_id
