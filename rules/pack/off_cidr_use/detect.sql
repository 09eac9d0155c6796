-- Uses and attempts whose caller stands outside what the network policy allows.
WITH calls AS (
    SELECT *
    FROM new_events
    WHERE action IN ('read', 'invoke')
        AND (outcome = 'ok' OR $attempts)
        -- Only the caller's own address; a service acting for somebody is not judged by its address.
        AND source_ip IS NOT NULL
        AND invoked_by IS NULL
),
-- Every policy entry that speaks of the secret and the principal, one row for each network it allows.
matches AS (
    SELECT
        calls.*, entry.policy, entry.cidr, entry.vpc_endpoint_id AS allowed_endpoint,
        min(entry.policy) OVER (PARTITION BY calls.account_id, calls.event_id, calls.secret_id) AS first_policy,
        count(entry.vpc_endpoint_id) OVER (
            PARTITION BY calls.account_id, calls.event_id, calls.secret_id, entry.policy
        ) AS endpoint_count
    FROM calls
    JOIN policy_networks AS entry
        ON (
            glob_match(entry.secret_pattern, coalesce(calls.secret_id, ''))
            OR glob_match(entry.secret_pattern, coalesce(calls.secret_name, ''))
        )
        AND glob_match(entry.principal_pattern, calls.principal_id)
),
-- The first entry decides. Through a VPC endpoint the private address says nothing, so where the entry names endpoints,
-- they decide; else the address does.
judged AS (
    SELECT
        *,
        CASE
            WHEN vpc_endpoint_id IS NOT NULL AND endpoint_count > 0 THEN coalesce(allowed_endpoint = vpc_endpoint_id, false)
            ELSE coalesce(cidr_contains(cidr, source_ip), false)
        END AS is_allowed
    FROM matches
    WHERE policy = first_policy
),
-- Where no entry speaks of the secret and the principal, and only if asked for: a network that the principal, which has
-- a habit and uses this secret, did not use on any earlier day.
unmatched AS (
    SELECT calls.*
    FROM calls
    LEFT JOIN matches
        ON matches.account_id = calls.account_id
        AND matches.event_id = calls.event_id
        AND coalesce(matches.secret_id, '') = coalesce(calls.secret_id, '')
    WHERE matches.event_id IS NULL
        AND $alert_unseen_network
        AND calls.network IS NOT NULL
        AND calls.network_days = 0
        AND calls.pair_active_days >= $habit_days
        AND calls.reader_class = 'consumer'
)
SELECT
    event_at, event_id, min(event_name) AS event_name, principal_id, secret_id, account_id, min(region) AS region,
    source_ip, min(object_key) AS object_key, min(record_index) AS record_index,
    CASE WHEN min(outcome) = 'ok' THEN NULL ELSE 'medium' END AS severity,
    min(outcome) AS outcome,
    min(outcome) = 'ok' AS succeeded,
    policy,
    vpc_endpoint_id,
    network,
    coalesce(
        array_to_string(array_sort(array_agg(DISTINCT coalesce(cidr, allowed_endpoint))), ', '),
        'no network at all'
    ) AS allowed
FROM judged
GROUP BY event_at, event_id, principal_id, secret_id, account_id, source_ip, policy, vpc_endpoint_id, network
HAVING NOT bool_or(is_allowed)
UNION ALL
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region,
    source_ip, object_key, record_index,
    CASE WHEN outcome = 'ok' THEN 'medium' ELSE 'low' END AS severity,
    outcome,
    outcome = 'ok' AS succeeded,
    CAST(NULL AS BIGINT) AS policy,
    vpc_endpoint_id,
    network,
    concat('the ', CAST(principal_active_days AS VARCHAR), ' days on which it was active') AS allowed
FROM unmatched
ORDER BY event_at, event_id, secret_id
