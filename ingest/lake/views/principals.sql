-- Everyone who did anything with a secret, sessions folded.
--   principal_id: the role, user, root, service or foreign caller
--   principal_kind: role, user, root, service, account, federated, identity_center or unknown
--   principal_account: its account
--   first_seen_at: the first event by it
--   last_seen_at: the last event by it
--   unique_ids: the ids that AWS gave it, sorted; more than one means that it was deleted and made again
--   secret_count: how many secrets it used
--   read_count: how many uses it made
--   event_count: how many events it made, failed ones included
SELECT
    principal_id,
    max(principal_kind) AS principal_kind,
    max(principal_account) AS principal_account,
    min(event_at) AS first_seen_at,
    max(event_at) AS last_seen_at,
    array_sort(array_agg(DISTINCT principal_unique_id) FILTER (WHERE principal_unique_id IS NOT NULL)) AS unique_ids,
    count(DISTINCT secret_id) FILTER (WHERE action IN ('read', 'invoke') AND outcome = 'ok') AS secret_count,
    count(*) FILTER (WHERE action IN ('read', 'invoke') AND outcome = 'ok' AND secret_id IS NOT NULL) AS read_count,
    count(*) AS event_count
FROM access_events
GROUP BY principal_id
