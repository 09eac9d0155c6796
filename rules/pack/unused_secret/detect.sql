-- Secrets whose verdict (verdict.sql) is "unused". A finding's moment is when the secret became unused, so that judging
-- again tomorrow is the same finding.
SELECT
    idle_since + $days AS event_at,
    CAST(NULL AS VARCHAR) AS event_id,
    CAST(NULL AS VARCHAR) AS event_name,
    CAST(NULL AS VARCHAR) AS principal_id,
    secret_id,
    secret_account AS account_id,
    secret_region AS region,
    CAST(NULL AS VARCHAR) AS source_ip,
    CAST(NULL AS VARCHAR) AS object_key,
    CAST(NULL AS BIGINT) AS record_index,
    $as_of - idle_since AS idle,
    idle_since,
    last_reader,
    last_use_at,
    explanation
FROM verdict
WHERE verdict = 'unused'
ORDER BY secret_id
