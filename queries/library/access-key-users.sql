-- name: access-key-users
-- title: Who uses which access key
-- description: Access keys that used secrets, with the principals and addresses behind them. One long-term key at
--   several places is shared or stolen.
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    access_key_id,
    credential_kind,
    array_sort(array_agg(DISTINCT principal_id)) AS principals,
    count(DISTINCT source_ip) AS address_count,
    array_sort(array_agg(DISTINCT source_ip)) AS source_ips,
    count(DISTINCT secret_id) AS secret_count,
    count(*) AS event_count,
    max(event_at) AS last_at
FROM access_events
WHERE access_key_id IS NOT NULL AND action IN ('read', 'invoke')
    AND event_at > $now - $window AND event_at <= $now
GROUP BY access_key_id, credential_kind
ORDER BY address_count DESC, event_count DESC, access_key_id
