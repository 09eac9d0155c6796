-- name: rotations
-- title: Changes of values
-- description: Every change of a secret's value in the window, with how it is known and who did it.
-- param: secret text * A secret's name or ARN, or a glob such as payments/*
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    rotations.rotated_at,
    rotations.secret_id,
    rotations.version_id,
    rotations.previous_version_id,
    rotations.known_by,
    rotations.principal_id
FROM rotations
JOIN secrets ON secrets.secret_id = rotations.secret_id
WHERE (glob_match($secret, rotations.secret_id) OR glob_match($secret, secrets.secret_name))
    AND rotations.rotated_at > $now - $window AND rotations.rotated_at <= $now
ORDER BY rotations.rotated_at DESC, rotations.secret_id
