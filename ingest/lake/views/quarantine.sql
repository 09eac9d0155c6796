-- What could not be understood, with the reason and where its bytes are: single records, and whole objects (record_index -1).
-- Column meanings: the lake's table of columns.
SELECT
    object_key, object_version, object_digest, record_index, reason, byte_offset, byte_length, content_kind, account_id,
    region, delivered_at, committed_at, ledger_version, object_date
FROM quarantine_stored
