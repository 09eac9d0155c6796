-- name: principal-history
-- title: Everything that a principal did
-- description: Every event by the principal that touches secrets, newest first.
-- param: principal text - A principal's ARN, or a glob such as *:role/ci-*
-- param: window duration 7d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT event_at, event_name, action, outcome, secret_id, version_id, session_name, source_ip, user_agent, error_code, event_id
FROM access_events
WHERE glob_match($principal, principal_id)
    AND event_at > $now - $window AND event_at <= $now
ORDER BY event_at DESC, event_id
