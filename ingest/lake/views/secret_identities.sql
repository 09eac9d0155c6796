-- Which ARN a Secrets Manager name meant, and when: a name that was deleted and made again has several, one after the other.
-- Only names that an unresolved row mentions are looked up, once for each session.
--   secret_id: the full ARN
--   secret_account: the account that owns it
--   secret_region: the region it is in
--   secret_name: its name
--   first_seen_at: when the ARN was first seen
--   named_from: from when the name meant this ARN; null for the first that had the name
--   named_until: until when; null for the one that has it now
SELECT
    secret_id, secret_account, secret_region, secret_name, first_seen_at,
    CASE
        WHEN lag(secret_id) OVER named IS NULL THEN NULL
        ELSE first_seen_at
    END AS named_from,
    lead(first_seen_at) OVER named AS named_until
FROM secret_identities_stored
WINDOW named AS (PARTITION BY secret_account, secret_region, secret_name ORDER BY first_seen_at, secret_id)
