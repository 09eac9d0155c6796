-- Reads that failed because the secret is marked for deletion: AWS says so in the message and nowhere else.
SELECT
    event_at, event_id, event_name, principal_id, secret_id,
    account_id, region, source_ip, object_key, record_index,
    CASE WHEN coalesce(pair_active_days, 0) < $days THEN 'low' END AS severity,
    -- A person behind a permission set is named by the session.
    CASE WHEN principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(session_name, principal_id) ELSE principal_id END AS who,
    coalesce(pair_active_days, 0) AS pair_days,
    greatest(coalesce(principal_active_days, 0), coalesce(pair_active_days, 0)) AS active_days
FROM new_events
WHERE event_source LIKE 'secretsmanager.%'
    AND action = 'read'
    AND outcome = 'error'
    AND secret_id IS NOT NULL
    AND reader_class <> 'upkeep'
    AND (
        error_message LIKE '%secret because it was marked for deletion%'
        OR error_message LIKE '%secret because it was deleted%'
    )
ORDER BY event_at, event_id, secret_id
