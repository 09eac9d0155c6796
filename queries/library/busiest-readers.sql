-- name: busiest-readers
-- title: Who reads most
-- description: Principals by number of uses in the window, with how many secrets and on how many days.
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
-- param: top integer 50 How many to show
SELECT
    principal_id,
    count(*) AS read_count,
    count(DISTINCT secret_id) AS secret_count,
    count(DISTINCT event_date) AS days_active,
    max(event_at) AS last_read_at
FROM access_events
WHERE action IN ('read', 'invoke') AND outcome = 'ok' AND secret_id IS NOT NULL
    AND event_at > $now - $window AND event_at <= $now
GROUP BY principal_id
QUALIFY row_number() OVER (ORDER BY count(*) DESC, principal_id) <= $top
ORDER BY read_count DESC, principal_id
