-- name: quarantine
-- title: What could not be read
-- description: Records and objects that could not be understood, folded by reason. Their events are missing from every
--   other answer.
SELECT
    reason,
    content_kind,
    count(*) AS record_count,
    count(DISTINCT object_key) AS object_count,
    max(committed_at) AS last_at,
    min(object_key) AS example_key
FROM quarantine
GROUP BY reason, content_kind
ORDER BY record_count DESC, reason
