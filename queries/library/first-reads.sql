-- name: first-reads
-- title: First uses of a secret by a principal
-- description: Pairs of principal and secret whose first use in the whole history of the lake lies in the window. A new
--   reader of an old secret is what a stolen credential looks like; a new reader of a new secret is a deploy.
-- param: window duration 7d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    pairs.first_read_at,
    pairs.principal_id,
    pairs.secret_id,
    pairs.read_count,
    secrets.first_read_at AS secret_first_read_at,
    secrets.reader_count AS readers_of_secret,
    pairs.first_event_id
FROM pairs
JOIN secrets ON secrets.secret_id = pairs.secret_id
WHERE pairs.first_read_at > $now - $window AND pairs.first_read_at <= $now
ORDER BY pairs.first_read_at DESC, pairs.principal_id, pairs.secret_id
