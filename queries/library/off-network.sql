-- name: off-network
-- title: Uses from outside the allowed networks
-- description: Uses and attempts from an address or endpoint that no `[[policy.network]]` of the configuration allows,
--   where at least one policy speaks of that secret and principal. Services that act for somebody have no
--   address of their own and are left out.
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
WITH calls AS (
    SELECT event_at, outcome, principal_id, secret_id, coalesce(secret_name, secret_id) AS secret_name, source_ip, vpc_endpoint_id,
        user_agent, event_id
    FROM access_events
    WHERE action IN ('read', 'invoke') AND secret_id IS NOT NULL
        AND source_ip IS NOT NULL AND invoked_by IS NULL
        AND event_at > $now - $window AND event_at <= $now
)
SELECT
    calls.event_at, calls.outcome, calls.principal_id, calls.secret_id, calls.source_ip, calls.vpc_endpoint_id,
    calls.user_agent, calls.event_id
FROM calls
JOIN policy_networks AS policy
    ON (glob_match(policy.secret_pattern, calls.secret_name) OR glob_match(policy.secret_pattern, calls.secret_id))
    AND glob_match(policy.principal_pattern, calls.principal_id)
GROUP BY
    calls.event_at, calls.outcome, calls.principal_id, calls.secret_id, calls.source_ip, calls.vpc_endpoint_id,
    calls.user_agent, calls.event_id
HAVING NOT bool_or(coalesce(
    cidr_contains(policy.cidr, calls.source_ip), calls.vpc_endpoint_id = policy.vpc_endpoint_id, false))
ORDER BY calls.event_at DESC, calls.event_id
