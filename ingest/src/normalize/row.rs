//! Understood calls as rows.
//!
//! In: a [`Call`], its caller and its targets. Out: [`AccessEvent`]s and a [`TrailEvent`].
//!
//! Invariant: every text that a caller can choose goes through the redaction before it stands in a column.

use std::borrow::Cow;

use keytrail_model::{AccessEvent, Action, Outcome, PrincipalKind, Resolution, TrailEvent};

use super::{
    RecordPlace,
    call::Call,
    error::RecordError,
    identity::Identity,
    origin, redact,
    redact_text::{self, Sort},
    target::Target,
    user_agent,
    wire::{self, Fields, Record},
};

/// The row that all rows of a call are copies of, before they get a secret.
pub(super) fn base(
    call: &Call<'_>,
    who: Identity,
    text: &str,
    place: &RecordPlace<'_>,
) -> Result<AccessEvent, RecordError> {
    let wire = call.wire;
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    let on_behalf = who.invoked_by.is_some();
    let origin =
        origin::of(wire::text(wire.source_address).as_deref(), wire::text(wire.vpc_endpoint_id).as_deref(), on_behalf);
    let user_agent = wire::text(wire.user_agent);
    let addendum = Fields::of(wire.addendum);
    let is_clean = call.is_clean;
    let clean = |text: &str| if is_clean { text.to_owned() } else { clean(text) };
    let prose = |text: &str| if is_clean { text.to_owned() } else { redact_text::text(text, Sort::Prose).into_owned() };
    let own = |text: String| if is_clean { text } else { self::clean(&text) };
    let is_correction = addendum.text("reason").is_some_and(|reason| reason == "UPDATED_DATA");
    Ok(AccessEvent {
        event_id: call.event_id.clone(),
        shared_event_id: owned(wire::text(wire.shared_event_id)),
        corrects_event_id: owned(addendum.text("originalEventID").filter(|_| is_correction)),
        event_at: call.at,
        event_source: clean(&call.source),
        event_name: clean(&call.name),
        outcome: call.outcome,
        principal_id: own(who.principal_id),
        principal_kind: who.kind,
        principal_account: who.account,
        principal_unique_id: who.unique_id.map(own),
        session_name: who.session_name.map(own),
        source_identity: who.source_identity.map(own),
        access_key_id: who.access_key_id.map(own),
        credential_kind: who.credential_kind,
        mfa: who.mfa,
        invoked_by: who.invoked_by,
        workload: who.workload,
        source_ip: origin.source_ip,
        source_network: origin.source_network.map(str::to_owned),
        vpc_endpoint_id: origin.vpc_endpoint_id,
        user_agent: user_agent.as_deref().map(prose),
        user_agent_family: user_agent.as_deref().map(|text| user_agent::family(text).to_owned()),
        tls_version: owned(Fields::of(wire.tls).text("tlsVersion")),
        account_id: call.account.clone().into_owned(),
        region: call.region.clone().into_owned(),
        error_code: call.error_code.as_deref().map(clean),
        error_message: call.error_message.as_deref().map(prose),
        raw: if is_clean { text.to_owned() } else { redact::json(text)? },
        ..empty(place)
    })
}

/// One row for each target.
pub(super) fn rows(base: AccessEvent, action: Action, targets: Vec<Target>, call: &Call<'_>) -> Vec<AccessEvent> {
    let with_decryption = (action == Action::Read).then(|| call.request.flag("withDecryption")).flatten();
    let base = AccessEvent { action, with_decryption, ..base };
    spread(base, targets, call.is_clean)
}

/// Copies of a row, each with one of the targets. `is_clean` says that the record was found to hold no secret.
pub(super) fn spread(base: AccessEvent, targets: Vec<Target>, is_clean: bool) -> Vec<AccessEvent> {
    let mut targets = targets.into_iter();
    let Some(last) = targets.next_back() else { return Vec::new() };
    let mut rows: Vec<AccessEvent> = targets.map(|target| with_target(base.clone(), target, is_clean)).collect();
    rows.push(with_target(base, last, is_clean));
    rows
}

fn with_target(row: AccessEvent, target: Target, is_clean: bool) -> AccessEvent {
    let own = |text: String| if is_clean { text } else { clean(&text) };
    AccessEvent {
        secret_id: target.id.map(own),
        secret_name: target.name.map(own),
        secret_kind: target.kind,
        secret_account: target.account,
        secret_region: target.region,
        secret_resolution: target.resolution,
        version_id: target.version_id.map(own),
        version_stage: target.version_stage.map(own),
        version_evidence: target.evidence,
        ..row
    }
}

/// The record as a row of `events`.
pub(super) fn trail_event(base: &AccessEvent, wire: &Record<'_>) -> TrailEvent {
    TrailEvent {
        event_id: base.event_id.clone(),
        event_at: base.event_at,
        delivered_at: base.delivered_at,
        event_source: base.event_source.clone(),
        event_name: base.event_name.clone(),
        event_category: wire::text(wire.event_category).map(Cow::into_owned),
        read_only: wire::flag(wire.read_only),
        account_id: base.account_id.clone(),
        region: base.region.clone(),
        principal_id: base.principal_id.clone(),
        principal_kind: base.principal_kind,
        source_ip: base.source_ip.clone(),
        user_agent: base.user_agent.clone(),
        error_code: base.error_code.clone(),
        object_key: base.object_key.clone(),
        record_index: base.record_index,
        raw: base.raw.clone(),
    }
}

/// Text that a caller may have chosen, without secrets.
fn clean(text: &str) -> String {
    redact_text::text(text, Sort::Name).into_owned()
}

/// A row that says nothing yet but where it was found.
pub(super) fn empty(place: &RecordPlace<'_>) -> AccessEvent {
    AccessEvent {
        event_id: String::new(),
        shared_event_id: None,
        corrects_event_id: None,
        event_at: 0,
        delivered_at: place.delivered_at,
        event_source: String::new(),
        event_name: String::new(),
        action: Action::Other,
        outcome: Outcome::Ok,
        secret_id: None,
        secret_name: None,
        secret_kind: None,
        secret_account: None,
        secret_region: None,
        secret_resolution: Resolution::None,
        version_id: None,
        version_stage: None,
        version_evidence: None,
        principal_id: "unknown".to_owned(),
        principal_kind: PrincipalKind::Unknown,
        principal_account: None,
        principal_unique_id: None,
        session_name: None,
        source_identity: None,
        access_key_id: None,
        credential_kind: None,
        mfa: None,
        invoked_by: None,
        workload: None,
        source_ip: None,
        source_network: None,
        vpc_endpoint_id: None,
        user_agent: None,
        user_agent_family: None,
        tls_version: None,
        account_id: String::new(),
        region: String::new(),
        error_code: None,
        error_message: None,
        with_decryption: None,
        object_key: place.object_key.to_owned(),
        record_index: place.record_index,
        raw: String::new(),
    }
}
