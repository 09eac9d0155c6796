-- The first read with a kind of client, by a machine that has a habit.
WITH people AS (
    SELECT DISTINCT event.principal_id
    FROM new_events AS event
    JOIN (SELECT unnest($people) AS pattern) AS known ON glob_match(known.pattern, event.principal_id)
)
SELECT
    event.event_at, event.event_id, event.event_name, event.principal_id, event.secret_id, event.account_id, event.region,
    event.source_ip, event.object_key, event.record_index,
    event.user_agent_family, event.agent_days, event.principal_active_days
FROM new_events AS event
LEFT JOIN people ON people.principal_id = event.principal_id
WHERE event.action = 'read'
    AND event.outcome = 'ok'
    AND event.secret_id IS NOT NULL
    AND event.invoked_by IS NULL
    AND event.user_agent_family IS NOT NULL
    -- The entries of a batch carry the service's own name; what is not known is no kind of client.
    AND event.user_agent_family NOT IN ('service', 'other')
    AND event.is_first_agent
    AND event.principal_active_days >= $min_days
    AND event.principal_first_at <= event.event_at - $learning
    AND event.reader_class = 'consumer'
    AND people.principal_id IS NULL
    AND event.principal_kind <> 'identity_center'
    AND coalesce(event.credential_kind, '') <> 'console'
    AND NOT regexp_like(coalesce(event.session_name, ''), '^[^@ ]+@[^@ ]+[.][A-Za-z]+$')
ORDER BY event.event_at, event.event_id, event.secret_id
