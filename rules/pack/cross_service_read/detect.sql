-- A role's first use of a secret in a namespace that it never used and that few others use.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
),
first_reads AS (
    SELECT event.*, namespace_of(event.secret_name) AS namespace
    FROM new_events AS event
    LEFT JOIN people ON people.principal_id = event.principal_id
    WHERE event.action = 'read'
        AND event.outcome = 'ok'
        AND event.is_first_use
        AND event.principal_kind = 'role'
        AND event.credential_kind <> 'console'
        AND people.principal_id IS NULL
        AND event.reader_class = 'consumer'
        AND event.secret_resolution <> 'path'
        -- Outside: a namespace that others used and this role did not.
        AND event.namespace_days = 0
        AND event.namespace_readers BETWEEN 1 AND $shared_by - 1
        -- Established: it had time to show what is its own.
        AND event.principal_active_days >= $min_days
        AND event.principal_first_at <= event.event_at - $learning
        -- A rotation is under way: its function is not known as one before it has staged a value.
        AND NOT EXISTS (
            SELECT 1
            FROM rotation_attempts AS rotation
            WHERE rotation.secret_id = event.secret_id
                AND event.event_at BETWEEN rotation.started_at AND rotation.started_at + INTERVAL '15 minutes'
        )
),
shared AS (
    SELECT DISTINCT first_read.namespace
    FROM first_reads AS first_read
    JOIN (SELECT unnest($shared) AS pattern) AS known ON glob_match(known.pattern, first_read.namespace)
),
-- The namespaces that the role used on two earlier days at least: a single stray read, of which there may have been an
-- alert, makes no namespace its own.
own_days AS (
    SELECT
        first_read.account_id, first_read.event_id, first_read.secret_id, own.day_at,
        namespace_of(
            regexp_replace(
                own.secret_id, '^arn:[^:]*:(secretsmanager:[^:]*:[^:]*:secret:|ssm:[^:]*:[^:]*:parameter)', ''
            )
        ) AS own_namespace
    FROM first_reads AS first_read
    JOIN pair_days AS own
        ON own.principal_id = first_read.principal_id
        AND own.day_at < date_trunc('day', first_read.event_at)
),
own_namespaces AS (
    SELECT account_id, event_id, secret_id, own_namespace
    FROM own_days
    WHERE own_namespace IS NOT NULL
    GROUP BY account_id, event_id, secret_id, own_namespace
    HAVING count(DISTINCT day_at) >= 2
),
owned AS (
    SELECT
        account_id, event_id, secret_id,
        count(*) AS own_count,
        array_to_string(array_sort(array_agg(own_namespace || '/')), ', ') AS own
    FROM own_namespaces
    GROUP BY account_id, event_id, secret_id
)
SELECT
    first_read.event_at, first_read.event_id, first_read.event_name, first_read.principal_id, first_read.secret_id,
    first_read.account_id, first_read.region, first_read.source_ip, first_read.object_key, first_read.record_index,
    first_read.namespace,
    first_read.namespace_days, first_read.namespace_readers, first_read.principal_active_days,
    owned.own
FROM first_reads AS first_read
JOIN owned
    ON owned.account_id = first_read.account_id
    AND owned.event_id = first_read.event_id
    AND owned.secret_id = first_read.secret_id
LEFT JOIN shared ON shared.namespace = first_read.namespace
WHERE shared.namespace IS NULL
    -- A role that serves many services has no namespace of its own.
    AND owned.own_count <= $max_own
    -- A role named after the namespace is at home there: role svc-orders and orders/db.
    AND strpos(
        '-' || regexp_replace(lower(arn_part(first_read.principal_id, 'resource')), '[^a-z0-9]+', '-', 'g') || '-',
        '-' || regexp_replace(lower(first_read.namespace), '[^a-z0-9]+', '-', 'g') || '-'
    ) = 0
ORDER BY first_read.event_at, first_read.event_id, first_read.secret_id
