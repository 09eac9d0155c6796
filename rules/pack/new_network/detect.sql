-- Uses whose network is new to a principal that has a place of its own.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
),
roaming AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($roaming) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
),
uses AS (
    SELECT
        event.*,
        CASE
            WHEN people.principal_id IS NOT NULL
                OR principal_kind = 'identity_center'
                OR credential_kind = 'console'
                OR regexp_like(coalesce(session_name, ''), '^[^@ ]+@[^@ ]+[.][A-Za-z]+$')
                THEN 'person'
            -- Outside a VPC a function has whatever address AWS has free.
            WHEN coalesce(workload, '') LIKE '%:function:%' THEN 'free'
            WHEN workload IS NOT NULL
                OR regexp_like(coalesce(session_name, ''), '^(i-[0-9a-f]{8,17}|[0-9a-f]{32})$')
                THEN 'host'
            WHEN credential_kind = 'long_term_key' THEN 'user'
            ELSE 'free'
        END AS sort
    FROM new_events AS event
    LEFT JOIN people ON people.principal_id = event.principal_id
    LEFT JOIN roaming ON roaming.principal_id = event.principal_id
    WHERE event.action IN ('read', 'invoke')
        AND event.outcome = 'ok'
        AND event.secret_id IS NOT NULL
        AND event.invoked_by IS NULL
        AND event.source_network = 'public'
        AND event.vpc_endpoint_id IS NULL
        AND event.is_first_network
        AND event.principal_first_at <= event.event_at - $learning
        AND event.reader_class = 'consumer'
        AND roaming.principal_id IS NULL
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index,
    network, network_days, principal_active_days
FROM uses
WHERE sort <> 'free'
    AND principal_active_days >= CASE WHEN sort = 'person' THEN $min_days_people ELSE $min_days END
ORDER BY event_at, event_id, secret_id
