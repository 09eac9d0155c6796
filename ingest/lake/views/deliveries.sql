-- The objects that show a trail at work: one row for each file of CloudTrail that was read, and for each that is in
-- quarantine as a whole. Events that came alone (EventBridge) and access logs are no files of a trail.
--   account_id: the account in the object's key
--   region: the region in the object's key
--   delivered_at: when CloudTrail delivered it
--   committed_at: when the lake committed it
--   at: the newest event in it: never past the delivery, nor far before it, because times in a file are somebody else's;
--     of a file that could not be read, five minutes before its delivery
--   is_read: false for a file in quarantine
--   in_quarantine: whether the file or a record of it is in quarantine
SELECT
    account_id, region, delivered_at, committed_at,
    greatest(
        least(
            coalesce(last_event_at, CASE WHEN outcome = 'committed' THEN delivered_at ELSE delivered_at - INTERVAL '5 minutes' END),
            delivered_at
        ),
        delivered_at - INTERVAL '40 days'
    ) AS at,
    outcome = 'committed' AS is_read,
    outcome = 'quarantined' OR quarantined_count > 0 AS in_quarantine
FROM objects
WHERE (
        outcome = 'committed'
        OR (outcome = 'quarantined' AND NOT (object_version = '' AND is_read_since(object_key, ledger_version)))
    )
    AND content_kind NOT IN ('apigateway_access_log', 'eventbridge') AND object_key NOT LIKE 'eventbridge://%'
    AND account_id IS NOT NULL AND region IS NOT NULL AND delivered_at IS NOT NULL
