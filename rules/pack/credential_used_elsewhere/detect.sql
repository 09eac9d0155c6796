-- Sessions that belong to a host, used from a network that is not the host's.
WITH bound AS (
    SELECT
        event.*,
        vpc_endpoint_id IS NULL AND source_network = 'public' AS is_public,
        coalesce(workload, '') LIKE '%:function:%' AS is_function,
        -- The first use came through a VPC endpoint or from a private address: a network is then an endpoint's id or a /16.
        key_first_network LIKE 'vpce-%' OR coalesce(is_private_ip(key_first_ip), false) AS began_inside
    FROM new_events AS event
    WHERE credential_kind = 'role'
        AND access_key_id IS NOT NULL
        AND invoked_by IS NULL
        AND network IS NOT NULL
        AND key_first_network IS NOT NULL
        AND network <> key_first_network
        AND coalesce(key_first_ip, '') <> coalesce(source_ip, '')
        AND key_first_at <= event_at
        AND network_days = 0
        AND principal_active_days >= $min_days
        -- Issued to a host: AWS says so, or the session is named after an instance or a task.
        AND (
            workload IS NOT NULL
            OR regexp_like(coalesce(session_name, ''), '^(i-[0-9a-f]{8,17}|[0-9a-f]{32})$')
            OR EXISTS (
                SELECT 1
                FROM (SELECT unnest($workloads) AS pattern) AS known
                WHERE glob_match(known.pattern, event.principal_id)
            )
        )
),
-- What the network policy allows this role is ours, but not this host's.
allowed AS (
    SELECT DISTINCT bound.account_id, bound.event_id
    FROM bound
    JOIN policy_networks AS entry
        ON glob_match(entry.principal_pattern, bound.principal_id)
        AND (entry.vpc_endpoint_id = bound.vpc_endpoint_id OR coalesce(cidr_contains(entry.cidr, bound.source_ip), false))
)
SELECT
    bound.event_at, bound.event_id, bound.event_name, bound.principal_id, bound.secret_id, bound.account_id, bound.region,
    bound.source_ip, bound.object_key, bound.record_index,
    CASE
        WHEN NOT bound.is_public THEN 'medium'
        WHEN allowed.event_id IS NOT NULL THEN 'medium'
        WHEN bound.began_inside AND bound.agent_days > 0 THEN 'medium'
    END AS severity,
    bound.access_key_id,
    coalesce(regexp_replace(bound.workload, '^.*[:/]', ''), bound.session_name, 'a host') AS issued_to,
    bound.vpc_endpoint_id AS endpoint,
    bound.event_at - bound.key_first_at AS since,
    bound.key_first_ip, bound.key_first_network, bound.network,
    bound.network_days, bound.principal_active_days
FROM bound
LEFT JOIN allowed ON allowed.account_id = bound.account_id AND allowed.event_id = bound.event_id
WHERE
    CASE
        -- From the internet: not for a function outside a VPC, whose address is whatever AWS has free.
        WHEN bound.is_public THEN bound.began_inside OR NOT bound.is_function
        -- Through a VPC endpoint that the role does not use, from an address of another network than the host's: not our own
        -- endpoint for one more service, which the host reaches from its own network.
        ELSE bound.vpc_endpoint_id IS NOT NULL
            AND is_private_ip(bound.key_first_ip)
            AND ip_family(bound.key_first_ip) = 4
            AND ip_family(bound.source_ip) = 4
            AND regexp_replace(bound.source_ip, '[.][0-9]+[.][0-9]+$', '')
                <> regexp_replace(bound.key_first_ip, '[.][0-9]+[.][0-9]+$', '')
    END
ORDER BY bound.event_at, bound.event_id, bound.secret_id
