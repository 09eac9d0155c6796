//! Several processes that tell of the same alerts at the same time: each message arrives once.

use std::{
    collections::HashSet,
    process::{Child, Stdio},
    time::Duration,
};

use keytrail_model::{Alert, Severity};

use super::stage::{Stage, alert};
use crate::harness::wait::{PATIENCE, until};

const ALERTS: usize = 60;

#[test]
fn of_three_workers_one_delivers() {
    let stage = Stage::new("[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"URL/\"\n");
    stage.receiver.slow(Duration::from_millis(10));
    let alerts: Vec<Alert> = (0..ALERTS).map(|number| alert(&format!("a{number:02}"), Severity::High)).collect();
    stage.put(&alerts);
    let mut workers: Vec<Child> = (0..3)
        .map(|_| {
            let mut command = stage.world.command(&["sinks", "deliver", "--config", stage.config()]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
        })
        .collect();
    for worker in &mut workers {
        assert!(worker.wait().expect("a child").success());
    }
    // Whoever found everything claimed has left; what the others had claimed they have sent.
    until("everything delivered", PATIENCE, || {
        stage.deliver_all();
        stage.all_delivered().then_some(())
    });
    let requests = stage.receiver.requests();
    let ids: HashSet<&str> = requests.iter().map(super::receiver::Request::id).collect();
    assert_eq!((requests.len(), ids.len()), (ALERTS, ALERTS), "exactly once without a crash");
    let told: HashSet<String> = requests.iter().flat_map(super::receiver::Request::alerts).collect();
    assert_eq!(told.len(), ALERTS);
    assert!(requests.iter().all(|request| request.field("keytrail-attempt") == "1"));
}
