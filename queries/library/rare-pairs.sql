-- name: rare-pairs
-- title: Rarely used pairs
-- description: Pairs of consumer and secret with few uses, rarest first: access that may be taken away, or that somebody
--   tried once.
-- param: at_most integer 3 How many uses are few
SELECT read_count, days_active, first_read_at, last_read_at, principal_id, secret_id, first_event_id
FROM pairs
WHERE reader_class = 'consumer' AND read_count <= $at_most
ORDER BY read_count, last_read_at DESC, principal_id, secret_id
