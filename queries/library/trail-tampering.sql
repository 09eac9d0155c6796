-- name: trail-tampering
-- title: Changes that blind the log
-- description: Calls that stop, delete or narrow a trail, and changes of resource policies on secrets: what an attacker
--   does first.
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT event_at, event_name, outcome, principal_id, session_name, secret_id, source_ip, user_agent, account_id, region, event_id
FROM access_events
WHERE (
        event_name IN ('StopLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors', 'PutInsightSelectors')
        OR action = 'policy'
    )
    AND event_at > $now - $window AND event_at <= $now
ORDER BY event_at DESC, event_id
