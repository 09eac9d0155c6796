-- How far the lake has seen: one row. Judging takes this moment for "now", so that old data gives the same answers
-- whenever it is asked.
--   horizon_at: the newest delivery of a committed object, else the newest event; null in an empty lake
SELECT coalesce(
    (SELECT max(delivered_at) FROM objects_stored WHERE outcome = 'committed'),
    (SELECT max(event_at) FROM access_events_stored)
) AS horizon_at
