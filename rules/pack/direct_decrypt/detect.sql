-- Decrypts with a secret's or parameter's encryption context that no service made for the caller.
WITH decrypts AS (
    SELECT *
    FROM new_events
    WHERE event_source LIKE 'kms.%'
        AND (action = 'decrypt' OR event_name LIKE 'ReEncrypt%')
        AND outcome IN ('ok', 'denied')
        AND secret_id IS NOT NULL
        -- A service that decrypts for somebody says so, in the identity or by its name in place of an address.
        AND invoked_by IS NULL
        AND source_ip IS NOT NULL
        AND principal_kind <> 'service'
        AND (secret_first_seen_at IS NULL OR event_at >= secret_first_seen_at + $learning)
        -- Who reads the secret day by day has its value anyway, however it gets it.
        AND coalesce(pair_active_days, 0) < $habit_days
),
expected AS (
    SELECT DISTINCT decrypts.principal_id
    FROM decrypts
    CROSS JOIN (SELECT unnest($expected) AS pattern) AS pattern
    WHERE glob_match(pattern.pattern, decrypts.principal_id)
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id,
    account_id, region, source_ip, object_key, record_index,
    CASE WHEN outcome = 'denied' THEN 'low' END AS severity,
    -- A person behind a permission set is named by the session.
    CASE WHEN principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(session_name, principal_id) ELSE principal_id END AS who,
    outcome = 'ok' AS succeeded,
    coalesce(pair_active_days, 0) AS pair_days
FROM decrypts
WHERE principal_id NOT IN (SELECT principal_id FROM expected)
ORDER BY event_at, event_id, secret_id
