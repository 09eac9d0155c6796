-- The stored rows whose secret is only known as it was typed: the stored columns, then what the typed text says (whether
-- it is an ARN, and the name, account and region in it).
-- Column meanings: the lake's table of columns.
SELECT
    *,
    coalesce(secret_id LIKE 'arn:%', false) AS typed_arn,
    CASE
        WHEN secret_id LIKE 'arn:%' THEN regexp_replace(arn_part(secret_id, 'resource'), '^secret:', '')
        ELSE coalesce(secret_name, secret_id)
    END AS typed_name,
    coalesce(arn_part(secret_id, 'account'), secret_account, account_id) AS typed_account,
    coalesce(arn_part(secret_id, 'region'), secret_region, region) AS typed_region
FROM access_events_stored
WHERE secret_resolution = 'unresolved'
