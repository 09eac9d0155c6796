-- What could not be understood and still is not, with the reason and where its bytes are: single records, and whole objects
-- (record_index -1). What was read again with success is gone from here; a line without a version (nobody could tell which
-- bytes were meant) goes when its key was read, whichever version that was.
-- Column meanings: the lake's table of columns.
--   since: when the object was first found in trouble
--   attempts: how often the object was read in vain
WITH troubles AS (
    SELECT object_digest, min(committed_at) AS since, count(DISTINCT ledger_version) AS attempts
    FROM quarantine_stored
    GROUP BY object_digest
)
SELECT
    line.object_key, line.object_version, line.object_digest, line.record_index, line.reason, line.byte_offset,
    line.byte_length, line.content_kind, line.account_id, line.region, line.delivered_at, line.committed_at,
    line.ledger_version, line.object_date, troubles.since, troubles.attempts
FROM quarantine_stored AS line
JOIN troubles ON troubles.object_digest = line.object_digest
WHERE is_newest_line(line.object_digest, line.ledger_version)
    AND NOT (line.object_version = '' AND is_read_since(line.object_key, line.ledger_version))
