-- Every alert as it stands now: the newest state in the alert log.
-- Column meanings: the lake's table of columns.
SELECT
    alert_id, rule_id, rule_version, severity, class, state, verdict, title, reason, principal_id, secret_ids, account_id,
    region, first_event_at, last_event_at, event_count, raised_at, updated_at, historical, fold_key, evidence,
    fingerprint, previous_alert_id, merged_into, suppressed_by, why, note, changed_by
FROM (
    SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY sequence DESC) AS age
    FROM alert_log
)
WHERE age = 1
