-- Everything that tells that a secret got a value, one row per event: the first value and every change after it.
-- The view rotations merges those that tell of the same change.
--   secret_id: the secret
--   event_at: when the event completed
--   version_id: the version that became current, where the event tells
--   signal: created, value_put, value_updated, stage_moved, rotation_succeeded, label_updated or parameter_put
--   principal_id: who did it
--   principal_kind: what kind of caller that is
--   event_id: the event
SELECT secret_id, event_at, version_id, signal, principal_id, principal_kind, event_id
FROM (
    SELECT
        secret_id, event_at, version_id, principal_id, principal_kind, event_id,
        CASE
            WHEN event_name = 'CreateSecret' THEN 'created'
            WHEN event_name = 'PutParameter' AND (action = 'create' OR version_id = '1') THEN 'created'
            WHEN event_name = 'PutParameter' THEN 'parameter_put'
            -- A value put under AWSPENDING is not in use yet; the stage that moves later tells.
            WHEN event_name = 'PutSecretValue' AND (version_stage IS NULL OR version_stage LIKE '%AWSCURRENT%') THEN 'value_put'
            -- UpdateSecret also changes descriptions; only a version tells of a value.
            WHEN event_name = 'UpdateSecret' AND version_id IS NOT NULL THEN 'value_updated'
            WHEN event_name = 'UpdateSecretVersionStage' AND version_stage LIKE '%AWSCURRENT%' THEN 'stage_moved'
            WHEN event_name = 'RotationSucceeded' THEN 'rotation_succeeded'
            WHEN event_name IN ('Secret Label Updated', 'SecretLabelUpdated')
                AND (version_stage IS NULL OR version_stage LIKE '%AWSCURRENT%') THEN 'label_updated'
        END AS signal
    FROM access_events
    WHERE outcome = 'ok'
        AND secret_id IS NOT NULL
        AND event_name IN (
            'CreateSecret', 'PutParameter', 'PutSecretValue', 'UpdateSecret', 'UpdateSecretVersionStage',
            'RotationSucceeded', 'Secret Label Updated', 'SecretLabelUpdated'
        )
)
WHERE signal IS NOT NULL
