-- Refusals of targets that the principal never used, counted over a window that ends with each of them.
WITH refused AS (
    SELECT
        event.event_at, event.event_id, event.account_id, event.principal_id, event.secret_id,
        coalesce(event.secret_id, concat(event.event_name, ' in ', event.account_id, ' ', event.region)) AS target,
        coalesce(namespace_of(event.secret_name), event.secret_name, event.event_name) AS namespace
    FROM recent_events AS event
    WHERE event.outcome = 'denied'
        AND event.invoked_by IS NULL
        -- Who is refused its own secrets has lost its permissions; it is not searching.
        AND NOT EXISTS (
            SELECT 1
            FROM pairs AS pair
            WHERE pair.principal_id = event.principal_id
                AND pair.secret_id = event.secret_id
                AND pair.first_read_at < event.event_at
        )
),
-- A retry is not another target: what was asked for within the window before counts there.
fresh AS (
    SELECT *
    FROM (
        SELECT *, lag(event_at) OVER (PARTITION BY principal_id, target ORDER BY event_at, event_id) AS asked_before_at
        FROM refused
    )
    WHERE asked_before_at IS NULL OR asked_before_at < event_at - $window
),
-- Numbers in the order of events: within the window are those from the first number of the window to one's own, so that
-- later events of the same second do not count.
numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY principal_id ORDER BY event_at, event_id, target) AS number,
        lag(event_at) OVER (PARTITION BY principal_id ORDER BY event_at, event_id, target) AS before_at,
        lag(namespace) OVER (PARTITION BY principal_id ORDER BY event_at, event_id, target) AS before_namespace
    FROM fresh
),
counted AS (
    SELECT
        *,
        number + 1 - min(number) OVER (
            PARTITION BY principal_id ORDER BY event_at RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS targets,
        -- The last step from one namespace to another: where it began within the window, there are two of them in it.
        max(CASE WHEN before_namespace <> namespace THEN before_at END) OVER (
            PARTITION BY principal_id ORDER BY event_at, event_id, target ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS changed_namespace_at
    FROM numbered
)
SELECT
    event.event_at, event.event_id, event.event_name, event.principal_id, event.secret_id,
    event.account_id, event.region, event.source_ip, event.object_key, event.record_index,
    CASE
        WHEN counted.changed_namespace_at IS NULL OR counted.changed_namespace_at < event.event_at - $window THEN 'low'
        WHEN counted.targets >= $many THEN 'high'
    END AS severity,
    counted.targets,
    coalesce(event.usual_secrets_max, 0) AS usual_max,
    coalesce(event.usual_secrets_days, 0) AS usual_days,
    CASE WHEN event.usual_secrets_max >= counted.targets THEN 1 ELSE 0 END AS usual_seen
FROM new_events AS event
JOIN counted
    ON counted.account_id = event.account_id
    AND counted.event_id = event.event_id
    AND counted.secret_id IS NOT DISTINCT FROM event.secret_id
WHERE event.reader_class = 'consumer' AND counted.targets >= $targets
ORDER BY event.event_at, event.event_id, event.secret_id
