-- name: old-versions
-- title: Reads of versions that were already replaced
-- description: Uses of a version after another had become current, after a time of grace. The version is known from KMS
--   or because the caller asked for it.
-- param: window duration 30d How far back
-- param: now moment horizon Back from when; the newest data if not given
-- param: grace duration 1h How long after the change the old version may still be read
SELECT
    reads.event_at,
    reads.principal_id,
    reads.secret_id,
    reads.version_id,
    reads.version_stage,
    reads.version_evidence,
    versions.superseded_at,
    reads.source_ip,
    reads.event_id
FROM access_events AS reads
JOIN versions ON versions.secret_id = reads.secret_id AND versions.version_id = reads.version_id
WHERE reads.action = 'read' AND reads.outcome = 'ok'
    AND reads.event_at > $now - $window AND reads.event_at <= $now
    AND reads.event_at > versions.superseded_at + $grace
ORDER BY reads.event_at DESC, reads.event_id
