-- Every suppression as it stands, ended and expired ones too.
-- Column meanings: the lake's table of columns.
--   is_active: whether it holds now
SELECT
    suppression_id, rule, principal, secret, network, account, owner, reason, created_at, created_by, expires_at, ended_at,
    ended_by,
    expires_at > now() AND (ended_at IS NULL OR ended_at > now()) AS is_active
FROM (
    SELECT *, row_number() OVER (PARTITION BY suppression_id ORDER BY sequence DESC) AS age
    FROM suppression_log
)
WHERE age = 1
