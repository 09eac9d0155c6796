//! A lake with alerts, a configuration with sinks, and somebody who receives.

use std::{fs, process::Child};

use keytrail_lake::{Lake, LakeSettings};
use keytrail_model::{Alert, AlertClass, AlertState, Evidence, Micros, Severity, time};
use serde_json::Value;

use super::receiver::Receiver;
use crate::harness::{Ran, World, wait::block_on};

/// Short pauses, so that a test sees the next try.
const DELIVERY: &str = "[delivery]\nfirst_pause = \"100ms\"\nlongest_pause = \"1s\"\n";

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) receiver: Receiver,
    lake: Lake,
    config: String,
}

impl Stage {
    /// `sinks` is the configuration's text; `URL` in it stands for the receiver's address.
    pub(super) fn new(sinks: &str) -> Self {
        Self::with(&format!("{DELIVERY}{sinks}"))
    }

    /// The same without a `[delivery]` of its own.
    pub(super) fn with(text: &str) -> Self {
        let (world, receiver) = (World::new(), Receiver::start());
        let lake = block_on(Lake::open(world.lake(), LakeSettings::default())).expect("a lake");
        let path = world.path("keytrail.toml");
        fs::write(&path, text.replace("URL", &receiver.url(""))).expect("a configuration file");
        let config = path.to_str().expect("UTF-8").to_owned();
        Self { world, receiver, lake, config }
    }

    pub(super) fn config(&self) -> &str {
        &self.config
    }

    /// Writes the alerts' new states.
    pub(super) fn put(&self, alerts: &[Alert]) {
        block_on(self.lake.append_alerts(alerts, None)).expect("alerts are written");
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--config", &self.config]);
        self.world.run_aws(&all)
    }

    /// `keytrail sinks deliver`.
    pub(super) fn deliver(&self) -> Ran {
        let ran = self.run(&["sinks", "deliver"]);
        assert!(matches!(ran.code, 0 | 1), "{}", ran.stderr);
        ran
    }

    /// Delivers, and insists that everything arrived.
    pub(super) fn deliver_all(&self) {
        let ran = self.deliver();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// The deliveries as the analysts' view has them.
    pub(super) fn deliveries(&self, what: &str) -> Vec<Value> {
        self.world.rows(&format!("SELECT * FROM alert_deliveries WHERE {what} ORDER BY at, delivery_id"))
    }

    pub(super) fn all_delivered(&self) -> bool {
        self.deliveries("state NOT IN ('delivered', 'covered')").is_empty()
    }
}

/// A process of the test, gone with it, however the test ends.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An open alert as a rule raises it, seen now.
pub(super) fn alert(id: &str, severity: Severity) -> Alert {
    let now = time::now();
    Alert {
        alert_id: id.to_owned(),
        rule_id: format!("rule_{id}"),
        rule_version: "1".to_owned(),
        severity,
        class: AlertClass::Detection,
        state: AlertState::Open,
        verdict: None,
        title: format!("New reader of prod/{id}"),
        reason: format!("role/app/billing read prod/{id} for the first time."),
        principal_id: Some("arn:aws:iam::111122223333:role/app/billing".to_owned()),
        secret_ids: vec![format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/{id}-AbCdEf")],
        account_id: Some("111122223333".to_owned()),
        region: Some("us-east-1".to_owned()),
        first_event_at: now,
        last_event_at: now,
        event_count: 1,
        raised_at: now,
        updated_at: now,
        historical: false,
        fold_key: vec![id.to_owned()],
        note: None,
        changed_by: None,
        evidence: vec![evidence(&format!("event-of-{id}"), now)],
        fingerprint: format!("f-{id}"),
        previous_alert_id: None,
        merged_into: None,
        suppressed_by: None,
        why: Vec::new(),
    }
}

pub(super) fn evidence(event_id: &str, event_at: Micros) -> Evidence {
    Evidence {
        event_at,
        event_id: event_id.to_owned(),
        event_name: "GetSecretValue".to_owned(),
        secret_id: None,
        source_ip: Some("203.0.113.9".to_owned()),
        object_key: "trail/object.json.gz".to_owned(),
        record_index: 3,
    }
}
