-- name: secret-history
-- title: Everything that happened to a secret
-- description: Every event about the secret, newest first: life, changes, policies, uses, attempts and KMS evidence.
-- param: secret text - A secret's name or ARN, or a glob such as payments/*
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT event_at, event_name, action, outcome, principal_id, session_name, version_id, version_stage, source_ip, error_code, event_id
FROM access_events
WHERE (glob_match($secret, secret_id) OR glob_match($secret, secret_name))
    AND event_at > $now - $window AND event_at <= $now
ORDER BY event_at DESC, event_id
