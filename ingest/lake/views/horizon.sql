-- How far the lake has seen: one row. Judging takes this moment for "now", so that old data gives the same answers
-- whenever it is asked.
--   horizon_at: the newest delivery of a committed object (of what the trail delivers: events that come alone are ahead of
--     it), else the newest event; null in an empty lake
SELECT coalesce(
    (SELECT max(delivered_at) FROM objects_stored WHERE outcome = 'committed' AND object_key NOT LIKE 'eventbridge://%'),
    (SELECT max(event_at) FROM access_events_stored)
) AS horizon_at
