-- Whatever root does to a secret, or tries.
WITH excepted AS (
    SELECT DISTINCT event.principal_account
    FROM new_events AS event
    JOIN (SELECT unnest($accounts) AS pattern) AS known ON glob_match(known.pattern, event.principal_account)
)
SELECT
    event.event_at, event.event_id, event.event_name, event.principal_id, event.secret_id, event.account_id, event.region,
    event.source_ip, event.object_key, event.record_index,
    CASE
        WHEN coalesce(event.access_key_id, '') LIKE 'AKIA%' THEN 'critical'
        WHEN event.action IN ('list', 'describe') THEN 'medium'
    END AS severity,
    CASE
        WHEN event.outcome <> 'ok' THEN 'tried'
        WHEN event.action IN ('read', 'invoke', 'decrypt') THEN 'read'
        WHEN event.action = 'list' THEN 'listed'
        WHEN event.action = 'describe' THEN 'looked at'
        ELSE 'changed'
    END AS did,
    event.outcome,
    coalesce(event.access_key_id, '') LIKE 'AKIA%' AS has_key,
    event.principal_active_days,
    90 AS days
FROM new_events AS event
LEFT JOIN excepted ON excepted.principal_account = event.principal_account
WHERE event.principal_kind = 'root'
    AND excepted.principal_account IS NULL
    AND split_part(event.event_source, '.', 1) IN ('secretsmanager', 'ssm', 'kms', 'execute-api')
    -- What KMS logs of a read that stands here itself.
    AND NOT (event.event_source LIKE 'kms.%' AND event.invoked_by IS NOT NULL)
ORDER BY event.event_at, event.event_id, event.secret_id
