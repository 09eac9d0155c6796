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
)
SELECT
    event_at, event_id, min(event_name) AS event_name, principal_id, secret_id, account_id, min(region) AS region,
    source_ip, min(object_key) AS object_key, min(record_index) AS record_index,
    CASE WHEN min(outcome) = 'ok' THEN NULL ELSE 'medium' END AS severity,
    min(outcome) AS outcome,
    min(outcome) = 'ok' AS succeeded,
    policy,
    vpc_endpoint_id,
    -- The network that alerts are folded by: /24 of IPv4, the first three groups (/48) of IPv6.
    CASE ip_family(source_ip)
        WHEN 4 THEN regexp_replace(source_ip, '[0-9]+$', '0/24')
        ELSE concat_ws(':', split_part(source_ip, ':', 1), split_part(source_ip, ':', 2), split_part(source_ip, ':', 3), ':/48')
    END AS network,
    coalesce(
        array_to_string(array_sort(array_agg(DISTINCT coalesce(cidr, allowed_endpoint))), ', '),
        'no network at all'
    ) AS allowed
FROM judged
GROUP BY event_at, event_id, principal_id, secret_id, account_id, source_ip, policy, vpc_endpoint_id
HAVING NOT bool_or(is_allowed)
ORDER BY event_at, event_id, secret_id
