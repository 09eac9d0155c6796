-- Principals that are the rotation function of a secret, by behaviour: they themselves stage its new values
-- (PutSecretValue with AWSPENDING, UpdateSecretVersionStage), and at least half of their reads of it lie within 15
-- minutes of such a step. A service that once moved a stage by hand stays a reader like others.
--   principal_id: the rotation function's principal
--   secret_id: the secret that it rotates
WITH steps AS (
    SELECT principal_id, secret_id, event_at
    FROM access_events
    WHERE outcome = 'ok' AND secret_id IS NOT NULL
        AND (event_name = 'UpdateSecretVersionStage' OR (event_name = 'PutSecretValue' AND version_stage LIKE '%AWSPENDING%'))
),
timeline AS (
    SELECT principal_id, secret_id, event_at, 1 AS is_step FROM steps
    UNION ALL
    SELECT reads.principal_id, reads.secret_id, reads.event_at, 0 AS is_step
    FROM access_events AS reads
    LEFT SEMI JOIN steps ON steps.principal_id = reads.principal_id AND steps.secret_id = reads.secret_id
    WHERE reads.action = 'read' AND reads.outcome = 'ok'
),
judged AS (
    SELECT
        principal_id, secret_id, is_step,
        max(is_step) OVER (
            PARTITION BY principal_id, secret_id ORDER BY event_at
            RANGE BETWEEN INTERVAL '15 minutes' PRECEDING AND INTERVAL '15 minutes' FOLLOWING
        ) AS beside_step
    FROM timeline
)
SELECT principal_id, secret_id
FROM judged
WHERE is_step = 0
GROUP BY principal_id, secret_id
HAVING 2 * sum(beside_step) >= count(*)
