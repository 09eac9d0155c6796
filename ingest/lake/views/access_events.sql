-- Every use of every secret, one row per (event, secret): reads, writes, attempts, and the KMS evidence about reads.
-- Rows are unique by account_id, event_id and secret_id. Names that were unknown when a row was written are resolved
-- here through what was learned since. Conditions on event_at, event_date, secret_id or principal_id skip whole files.
-- Column meanings: the lake's table of columns.
SELECT
    event_id, shared_event_id, event_at, delivered_at, ingested_at, event_source, event_name, action, outcome,
    secret_id, secret_name, secret_kind, secret_account, secret_region, secret_resolution, version_id,
    version_stage, version_evidence, principal_id, principal_kind, principal_account, principal_unique_id,
    session_name, source_identity, access_key_id, credential_kind, mfa, invoked_by, workload, source_ip,
    source_network, vpc_endpoint_id, user_agent, user_agent_family, tls_version, account_id, region,
    error_code, error_message, with_decryption, object_key, record_index, raw, event_date, batch_id,
    corrects_event_id
FROM access_events_stored
WHERE secret_resolution <> 'unresolved'
UNION ALL
-- The few rows whose secret was only a name or an ARN without its suffix: the identity that the name had at that time.
SELECT
    stored.event_id, stored.shared_event_id, stored.event_at, stored.delivered_at, stored.ingested_at,
    stored.event_source, stored.event_name, stored.action, stored.outcome,
    coalesce(known.secret_id, stored.secret_id) AS secret_id,
    coalesce(known.secret_name, stored.secret_name) AS secret_name, stored.secret_kind,
    coalesce(known.secret_account, stored.secret_account) AS secret_account,
    coalesce(known.secret_region, stored.secret_region) AS secret_region,
    CASE WHEN known.secret_id IS NULL THEN 'unresolved' WHEN stored.typed_arn THEN 'partial_arn' ELSE 'name' END AS secret_resolution,
    stored.version_id, stored.version_stage, stored.version_evidence, stored.principal_id,
    stored.principal_kind, stored.principal_account, stored.principal_unique_id, stored.session_name,
    stored.source_identity, stored.access_key_id, stored.credential_kind, stored.mfa, stored.invoked_by,
    stored.workload, stored.source_ip, stored.source_network, stored.vpc_endpoint_id, stored.user_agent,
    stored.user_agent_family, stored.tls_version, stored.account_id, stored.region, stored.error_code,
    stored.error_message, stored.with_decryption, stored.object_key, stored.record_index, stored.raw,
    stored.event_date, stored.batch_id, stored.corrects_event_id
FROM unresolved_events AS stored
LEFT JOIN secret_identities AS known
    ON known.secret_name = stored.typed_name
    AND known.secret_account = stored.typed_account
    AND known.secret_region = stored.typed_region
    AND (known.named_from IS NULL OR stored.event_at >= known.named_from)
    AND (known.named_until IS NULL OR stored.event_at < known.named_until)
