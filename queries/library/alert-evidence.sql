-- name: alert-evidence
-- title: The uses around an alert
-- description: Every event by the alert's principal on the alert's secrets, from a while before its first event to a
--   while after its last.
-- param: alert text - The alert's id
-- param: margin duration 1h How long before and after
SELECT
    events.event_at, events.event_name, events.outcome, events.principal_id, events.secret_id, events.version_id,
    events.source_ip, events.user_agent, events.object_key, events.record_index, events.event_id
FROM alerts
JOIN access_events AS events ON events.principal_id = alerts.principal_id
WHERE alerts.alert_id = $alert
    AND array_has(alerts.secret_ids, events.secret_id)
    AND events.event_at >= alerts.first_event_at - $margin
    AND events.event_at <= alerts.last_event_at + $margin
ORDER BY events.event_at, events.event_id
