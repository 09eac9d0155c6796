-- What each principal calls with: one row for each family of user agents that it was seen with.
--   principal_id: the role, user, root, service or foreign caller
--   user_agent_family: the user agent without its versions
--   first_at: its first event with it
--   last_at: its last event with it
--   event_count: how many events it made with it, failed ones included
--   days_active: on how many different UTC days
SELECT
    principal_id, user_agent_family,
    min(event_at) AS first_at,
    max(event_at) AS last_at,
    count(*) AS event_count,
    count(DISTINCT event_date) AS days_active
FROM access_events
WHERE user_agent_family IS NOT NULL
GROUP BY principal_id, user_agent_family
