-- Every change of every alert, oldest first within an alert: raised, new evidence, acknowledged, closed, suppressed.
--   alert_id: the alert
--   rule_id: its rule
--   change: raised, updated (evidence or wording), or the state that it came to
--   changed_at: when
--   changed_by: the person, or `keytrail`; null where the rules did it
--   state: the state after the change
--   verdict: the verdict after the change
--   note: what was said about it
--   event_count: how many events it rested on then
--   suppressed_by: what covered it then
--   sequence: grows with each change
SELECT
    alert_id, rule_id,
    CASE
        WHEN earlier_state IS NULL THEN 'raised'
        WHEN earlier_state <> state THEN state
        ELSE 'updated'
    END AS change,
    CASE WHEN earlier_state IS NULL THEN raised_at ELSE updated_at END AS changed_at,
    CASE
        WHEN earlier_state IS NULL OR earlier_state <> state OR earlier_note IS DISTINCT FROM note THEN changed_by
    END AS changed_by,
    state, verdict,
    CASE
        WHEN earlier_state IS NULL OR earlier_state <> state OR earlier_note IS DISTINCT FROM note THEN note
    END AS note,
    event_count, suppressed_by, sequence
FROM (
    SELECT
        *,
        lag(state) OVER (PARTITION BY alert_id ORDER BY sequence) AS earlier_state,
        lag(note) OVER (PARTITION BY alert_id ORDER BY sequence) AS earlier_note
    FROM alert_log
)
