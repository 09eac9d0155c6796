-- Who uses what: one row for each principal and secret that it used (a read or an invocation that succeeded).
--   principal_id: the reader
--   secret_id: the secret
--   secret_kind: secretsmanager, parameter or api
--   first_read_at: its first use
--   last_read_at: its last use
--   read_count: how many uses
--   days_active: on how many different UTC days
--   first_event_id: the event of the first use
--   reader_class: consumer, upkeep (never makes a secret used) or sync_agent (copies it elsewhere)
--   class_known_by: configuration or behaviour; null for a consumer, which is what is left
SELECT
    uses.principal_id, uses.secret_id, uses.secret_kind, uses.first_read_at, uses.last_read_at, uses.read_count,
    uses.days_active, uses.first_event_id,
    CASE
        WHEN uses.configured_class IS NOT NULL THEN uses.configured_class
        WHEN rotators.principal_id IS NOT NULL THEN 'upkeep'
        ELSE 'consumer'
    END AS reader_class,
    CASE
        WHEN uses.configured_class IS NOT NULL THEN 'configuration'
        WHEN rotators.principal_id IS NOT NULL THEN 'behaviour'
    END AS class_known_by
FROM (
    SELECT
        principal_id, secret_id,
        max(secret_kind) AS secret_kind,
        min(event_at) AS first_read_at,
        max(event_at) AS last_read_at,
        count(*) AS read_count,
        count(DISTINCT event_date) AS days_active,
        first_value(event_id ORDER BY event_at, event_id) AS first_event_id,
        reader_class(principal_id) AS configured_class
    FROM access_events
    WHERE action IN ('read', 'invoke') AND outcome = 'ok' AND secret_id IS NOT NULL
    GROUP BY principal_id, secret_id
) AS uses
LEFT JOIN rotators ON rotators.principal_id = uses.principal_id AND rotators.secret_id = uses.secret_id
