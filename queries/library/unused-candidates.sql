-- name: unused-candidates
-- title: Secrets that nobody seems to use
-- description: Secrets without a use by a consumer in the window. `gap_hours` counts the hours of the secret's account
--   and region in which the log has a hole: above 0, nobody can tell. `only_sync` secrets are copied
--   elsewhere by a sync agent.
-- param: window duration 90d How far back
-- param: now moment horizon Back from when; the newest data if not given
SELECT
    secrets.secret_id,
    secrets.secret_kind,
    secrets.last_use_at,
    secrets.last_read_at,
    secrets.created_at,
    coalesce(secrets.last_sync_at > $now - $window, false) AS only_sync,
    coalesce(gaps.gap_hours, 0) AS gap_hours,
    secrets.owner
FROM secrets
LEFT JOIN (
    SELECT account_id, region, count(*) AS gap_hours
    FROM coverage
    WHERE state = 'gap' AND hour_at > $now - $window
    GROUP BY account_id, region
) AS gaps ON gaps.account_id = secrets.secret_account AND gaps.region = secrets.secret_region
WHERE secrets.deleted_at IS NULL
    AND secrets.first_seen_at <= $now - $window
    AND (secrets.last_use_at IS NULL OR secrets.last_use_at <= $now - $window)
ORDER BY secrets.last_use_at NULLS FIRST, secrets.secret_id
