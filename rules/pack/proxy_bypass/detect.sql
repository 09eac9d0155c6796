-- Reads of a proxied secret by anybody but a proxy.
WITH reads AS (
    SELECT *
    FROM new_events
    WHERE action = 'read'
        AND outcome IN ('ok', 'denied')
        AND secret_id IS NOT NULL
        AND reader_class = 'consumer'
),
-- Everybody who matters here, and whether the configuration calls them a proxy.
people AS (
    SELECT principal_id FROM reads
    UNION
    SELECT principal_id FROM pairs
),
proxies AS (
    SELECT DISTINCT people.principal_id
    FROM people
    CROSS JOIN (SELECT unnest($proxies) AS pattern) AS pattern
    WHERE glob_match(pattern.pattern, people.principal_id)
),
direct AS (
    SELECT * FROM reads WHERE principal_id NOT IN (SELECT principal_id FROM proxies)
),
configured AS (
    SELECT DISTINCT direct.secret_id
    FROM direct
    CROSS JOIN (SELECT unnest($secrets) AS pattern) AS pattern
    WHERE glob_match(pattern.pattern, direct.secret_id) OR glob_match(pattern.pattern, coalesce(direct.secret_name, ''))
),
-- Who else had used the secret by then, and on how many of the days before.
other_pairs AS (
    SELECT
        direct.account_id, direct.event_id, direct.secret_id, other.principal_id,
        proxies.principal_id IS NOT NULL AS is_proxy,
        count(DISTINCT used.day_at) AS day_count
    FROM direct
    JOIN pairs AS other
        ON other.secret_id = direct.secret_id
        AND other.principal_id <> direct.principal_id
        AND other.reader_class = 'consumer'
        AND other.first_read_at < direct.event_at
    LEFT JOIN proxies ON proxies.principal_id = other.principal_id
    LEFT JOIN pair_days AS used
        ON used.secret_id = other.secret_id
        AND used.principal_id = other.principal_id
        AND used.day_at < date_trunc('day', direct.event_at)
    GROUP BY direct.account_id, direct.event_id, direct.secret_id, other.principal_id, proxies.principal_id
),
others AS (
    SELECT
        account_id, event_id, secret_id,
        bool_and(is_proxy) AS only_proxies,
        min(CASE WHEN is_proxy THEN principal_id END) AS proxy,
        max(CASE WHEN is_proxy THEN day_count ELSE 0 END) AS proxy_days
    FROM other_pairs
    GROUP BY account_id, event_id, secret_id
)
SELECT
    direct.event_at, direct.event_id, direct.event_name, direct.principal_id, direct.secret_id,
    direct.account_id, direct.region, direct.source_ip, direct.object_key, direct.record_index,
    CASE
        WHEN direct.outcome = 'denied' THEN 'low'
        WHEN configured.secret_id IS NULL THEN 'medium'
    END AS severity,
    -- A person behind a permission set is named by the session.
    CASE WHEN direct.principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(direct.session_name, direct.principal_id) ELSE direct.principal_id END AS who,
    direct.outcome = 'ok' AS succeeded,
    configured.secret_id IS NOT NULL AS is_configured,
    others.proxy,
    coalesce(others.proxy_days, 0) AS proxy_days,
    coalesce(direct.pair_active_days, 0) AS pair_days
FROM direct
LEFT JOIN configured ON configured.secret_id = direct.secret_id
LEFT JOIN others
    ON others.account_id = direct.account_id
    AND others.event_id = direct.event_id
    AND others.secret_id = direct.secret_id
WHERE configured.secret_id IS NOT NULL
    OR (
        cardinality($secrets) = 0
        AND others.only_proxies
        AND others.proxy_days >= $days
        -- Later days are those of a known reader: it was reported once.
        AND (direct.pair_first_read_at IS NULL OR direct.pair_first_read_at >= date_trunc('day', direct.event_at))
    )
ORDER BY direct.event_at, direct.event_id, direct.secret_id
