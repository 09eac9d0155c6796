-- Every object that was seen and what became of it: committed, skipped or quarantined. One row each; the three add up.
-- An object that was read again after trouble is shown as it ended last.
-- Column meanings: the lake's table of columns.
SELECT
    object_key, object_version, object_digest, outcome, reason, content_kind, account_id, region, delivered_at, committed_at,
    size_bytes, json_bytes, record_count, kept_count, ignored_count, quarantined_count, first_event_at, last_event_at,
    ledger_version, object_date
FROM objects_stored
WHERE is_newest_line(object_digest, ledger_version)
