-- Who was told of which alert: every delivery to a sink as it stands now, the newest step of each in the delivery log. An
-- alert that another delivery tells of has a row of its own in state `covered`.
-- Column meanings: the lake's table of columns.
--   alert_id: the alert that the message is about; of a storm, the first
--   first_at: when its first step was written
--   covered_by: the delivery that tells of it instead
SELECT
    delivery_id, sink, array_element(alert_ids, 1) AS alert_id, alert_ids, change, state, attempt, first_at, at, next_at,
    worker, status, detail, CASE WHEN state = 'covered' THEN detail END AS covered_by, title, severity, event_count,
    secret_count
FROM (
    SELECT *,
        row_number() OVER (PARTITION BY delivery_id ORDER BY sequence DESC) AS age,
        min(at) OVER (PARTITION BY delivery_id) AS first_at
    FROM delivery_log
)
WHERE age = 1
