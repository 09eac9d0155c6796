-- name: root-and-keys
-- title: Uses by root and by long-term keys
-- description: Uses and attempts with credentials that should not be there: the root user, and access keys that do not
--   expire.
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    credential_kind,
    principal_id,
    access_key_id,
    secret_id,
    outcome,
    count(*) AS event_count,
    min(event_at) AS first_at,
    max(event_at) AS last_at,
    array_sort(array_agg(DISTINCT source_ip)) AS source_ips
FROM access_events
WHERE credential_kind IN ('root', 'long_term_key')
    AND action IN ('read', 'invoke')
    AND event_at > $now - $window AND event_at <= $now
GROUP BY credential_kind, principal_id, access_key_id, secret_id, outcome
ORDER BY credential_kind DESC, last_at DESC, principal_id, secret_id
