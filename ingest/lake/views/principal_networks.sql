-- Where each principal calls from: one row for each network that it was seen from.
--   principal_id: the role, user, root, service or foreign caller
--   network: the VPC endpoint, else the address's /16 (private), /24 (public) or /48 (IPv6); see network_of
--   first_at: its first event from there
--   last_at: its last event from there
--   event_count: how many events it made from there, failed ones included
--   days_active: on how many different UTC days
SELECT
    principal_id, network,
    min(event_at) AS first_at,
    max(event_at) AS last_at,
    count(*) AS event_count,
    count(DISTINCT event_date) AS days_active
FROM (
    SELECT principal_id, event_at, event_date, network_of(source_ip, vpc_endpoint_id) AS network
    FROM access_events
)
WHERE network IS NOT NULL
GROUP BY principal_id, network
