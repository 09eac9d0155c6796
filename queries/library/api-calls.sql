-- name: api-calls
-- title: Use of proxied credentials by method and path
-- description: Invocations of IAM-authenticated APIs: which caller uses which method and path of a gateway that holds
--   the credential, and how it ended.
-- param: api text * A glob over the API's id, stage, method and path
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    arn_part(secret_id, 'resource') AS api,
    principal_id,
    outcome,
    count(*) AS call_count,
    min(event_at) AS first_at,
    max(event_at) AS last_at,
    count(DISTINCT source_ip) AS address_count
FROM access_events
WHERE action = 'invoke' AND secret_kind = 'api'
    AND (glob_match($api, secret_id) OR glob_match($api, arn_part(secret_id, 'resource')))
    AND event_at > $now - $window AND event_at <= $now
GROUP BY arn_part(secret_id, 'resource'), principal_id, outcome
ORDER BY call_count DESC, api, principal_id, outcome
