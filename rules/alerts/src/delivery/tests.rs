//! What is told, when, and once: on logs made by hand, and on random lives of alerts with workers that fail.

use keytrail_model::{AlertState, Evidence, Severity};
use proptest::prelude::*;

use super::*;
use crate::render::tests::sample;

const NOW: Micros = 1_785_600_000_000_000;

/// A log, the clock, and what was sent.
struct World {
    alerts: Vec<Alert>,
    log: HashMap<String, Delivery>,
    sequence: i64,
    now: Micros,
    settings: DeliverySettings,
    targets: Vec<Target>,
    routes: Vec<Route>,
}

impl World {
    fn new(alerts: Vec<Alert>) -> Self {
        let pager = Target { name: "pager".to_owned(), group: true, update: true, acknowledge: true, resolve: true };
        Self {
            alerts,
            log: HashMap::new(),
            sequence: 0,
            now: NOW,
            settings: DeliverySettings::default(),
            routes: vec![Route::default_to(vec!["pager".to_owned()])],
            targets: vec![pager],
        }
    }

    fn due(&self) -> Vec<Due> {
        due(&Look {
            alerts: &self.alerts,
            deliveries: &self.log,
            targets: &self.targets,
            routes: &self.routes,
            owners: &Owners::default(),
            settings: &self.settings,
            worker: "w",
            now: self.now,
        })
    }

    fn append(&mut self, step: DeliveryStep) {
        self.sequence += 1;
        let sequence = self.sequence;
        let known = self.log.entry(step.delivery_id.clone());
        let known = known.or_insert_with(|| Delivery { first_at: step.at, sequence, step: step.clone() });
        (known.sequence, known.step) = (sequence, step);
    }

    fn claim(&mut self, due: &Due) {
        due.steps().for_each(|step| self.append(step.clone()));
    }

    fn settle(&mut self, due: &Due, state: DeliveryState) {
        self.append(DeliveryStep { state, at: self.now, next_at: None, ..due.claim.clone() });
    }

    /// Claims and delivers everything that is due; what was told, as (change, alerts).
    fn deliver(&mut self) -> Vec<(DeliveryChange, Vec<String>)> {
        let due = self.due();
        for due in &due {
            self.claim(due);
            self.settle(due, DeliveryState::Delivered);
        }
        due.into_iter().map(|due| (due.claim.change, due.claim.alert_ids)).collect()
    }

    fn changes(&mut self) -> Vec<DeliveryChange> {
        self.deliver().into_iter().map(|(change, _)| change).collect()
    }
}

fn alert(id: &str) -> Alert {
    Alert { alert_id: id.to_owned(), evidence: Vec::new(), event_count: 3, ..sample() }
}

fn event(id: &str) -> Evidence {
    Evidence { event_id: id.to_owned(), ..sample().evidence[0].clone() }
}

fn many(rule: &str, from: usize, to: usize) -> Vec<Alert> {
    (from..to).map(|number| Alert { rule_id: rule.to_owned(), ..alert(&format!("{rule}-{number:04}")) }).collect()
}

#[test]
fn an_alert_is_told_once_and_then_only_what_is_new() {
    let mut world = World::new(vec![alert("a")]);
    assert_eq!(world.deliver(), [(DeliveryChange::Trigger, vec!["a".to_owned()])]);
    assert!(world.deliver().is_empty());

    world.alerts[0].severity = Severity::High;
    assert_eq!(world.changes(), [DeliveryChange::Update]);
    world.alerts[0].event_count = 29;
    assert!(world.deliver().is_empty(), "not ten times as many");
    world.alerts[0].event_count = 30;
    assert_eq!(world.changes(), [DeliveryChange::Update]);

    world.alerts[0].secret_ids.push("another".to_owned());
    assert!(world.deliver().is_empty(), "more secrets are told an hour after the last telling");
    world.now += time::HOUR;
    assert_eq!(world.changes(), [DeliveryChange::Update]);

    world.alerts[0].state = AlertState::Acknowledged;
    assert_eq!(world.changes(), [DeliveryChange::Acknowledge]);
    world.alerts[0].state = AlertState::Closed;
    assert_eq!(world.changes(), [DeliveryChange::Resolve]);
    assert!(world.deliver().is_empty());
    assert_eq!(world.log.len(), 6, "each change has an id of its own");
}

#[test]
fn who_understands_only_messages_gets_no_end() {
    let mut world = World::new(vec![alert("a")]);
    world.targets =
        vec![Target { name: "pager".to_owned(), group: true, update: false, acknowledge: false, resolve: false }];
    world.deliver();
    for state in [AlertState::Acknowledged, AlertState::Closed] {
        world.alerts[0] = Alert { state, severity: Severity::Critical, ..alert("a") };
        assert!(world.deliver().is_empty(), "{state}");
    }
}

#[test]
fn history_suppressed_merged_and_closed_alerts_are_never_told() {
    let never = [
        Alert { historical: true, ..alert("a") },
        Alert { state: AlertState::Suppressed, suppressed_by: Some("shadow".to_owned()), ..alert("b") },
        Alert { merged_into: Some("x".to_owned()), ..alert("c") },
        Alert { state: AlertState::Closed, ..alert("d") },
        Alert { severity: Severity::Low, ..alert("e") },
        Alert { rule_id: SINK_FAILING.to_owned(), fold_key: vec!["pager".to_owned()], ..alert("f") },
    ];
    assert!(World::new(never.to_vec()).due().is_empty());
}

#[test]
fn what_was_told_and_then_suppressed_ends_and_may_begin_again() {
    let mut world = World::new(vec![alert("a")]);
    world.deliver();
    world.alerts[0].state = AlertState::Suppressed;
    assert_eq!(world.changes(), [DeliveryChange::Resolve]);
    assert!(world.deliver().is_empty());
    world.alerts[0].state = AlertState::Open;
    assert_eq!(world.changes(), [DeliveryChange::Trigger]);
    world.alerts[0].state = AlertState::Closed;
    assert_eq!(world.changes(), [DeliveryChange::Resolve]);
    assert_eq!(world.log.len(), 4);
}

#[test]
fn what_rests_on_the_same_event_is_told_beside_the_graver_one() {
    let mut grave = Alert { severity: Severity::High, evidence: vec![event("e1"), event("e2")], ..alert("grave") };
    let beside = Alert { evidence: vec![event("e2")], ..alert("beside") };
    let apart = Alert { evidence: vec![event("e3")], ..alert("apart") };
    let equal = Alert { severity: Severity::High, evidence: vec![event("e1")], ..alert("equal") };
    let mut world = World::new(vec![beside, apart, grave.clone(), equal]);
    let mut told: Vec<Vec<String>> = world.deliver().into_iter().map(|(_, alerts)| alerts).collect();
    told.sort();
    assert_eq!(told, [vec!["apart"], vec!["equal"], vec!["grave", "beside"]]);
    let covered: Vec<&Delivery> =
        world.log.values().filter(|delivery| delivery.step.state == DeliveryState::Covered).collect();
    assert_eq!(covered.len(), 1);
    let by = delivery_id("grave", "pager", DeliveryChange::Trigger, "0");
    assert_eq!((&covered[0].step.alert_ids, &covered[0].step.detail), (&vec!["beside".to_owned()], &Some(by)));

    // Its end is nobody's news; when it becomes graver it is.
    world.alerts[0].state = AlertState::Closed;
    assert!(world.deliver().is_empty());
    world.alerts[0] = Alert { severity: Severity::Critical, ..alert("beside") };
    assert_eq!(world.changes(), [DeliveryChange::Update]);
    world.alerts[0].state = AlertState::Closed;
    assert_eq!(world.changes(), [DeliveryChange::Resolve]);
    grave.state = AlertState::Closed;
    world.alerts[2] = grave;
    assert_eq!(world.changes(), [DeliveryChange::Resolve]);
}

#[test]
fn a_storm_is_one_message_that_grows() {
    let mut world = World::new(many("noisy", 0, 30));
    world.alerts.extend(many("other", 0, 2));
    let told = world.deliver();
    let storms: Vec<_> = told.iter().filter(|(change, _)| *change == DeliveryChange::Storm).collect();
    assert_eq!((told.len(), storms.len(), storms[0].1.len()), (3, 1, 30));
    assert_eq!(world.log.values().filter(|one| one.step.state == DeliveryState::Covered).count(), 30);

    world.alerts.extend(many("noisy", 30, 32));
    assert!(world.deliver().is_empty(), "it has just been told");
    world.now += world.settings.storm_every;
    let told = world.deliver();
    assert_eq!((told.len(), told[0].0, told[0].1.len()), (1, DeliveryChange::Storm, 32));
    assert_eq!(told[0].1[0], storms[0].1[0], "the first alert stays the first");

    // A graver one does not wait.
    world.alerts.push(Alert { severity: Severity::Critical, ..many("noisy", 32, 33).remove(0) });
    let told = world.deliver();
    assert_eq!((told.len(), told[0].1.len()), (1, 33));

    for alert in &mut world.alerts {
        alert.state = AlertState::Closed;
    }
    let mut changes = world.changes();
    changes.sort();
    assert_eq!(changes, [DeliveryChange::Resolve, DeliveryChange::Resolve, DeliveryChange::StormOver]);
    assert!(world.deliver().is_empty());

    // Long after, a single one is told by itself.
    world.now += 2 * world.settings.storm_window;
    world.alerts.extend(many("noisy", 50, 51));
    assert_eq!(world.changes(), [DeliveryChange::Trigger]);
}

#[test]
fn who_keeps_alerts_gets_each_of_them() {
    let mut world = World::new(many("noisy", 0, 30));
    world.targets[0].group = false;
    assert_eq!(world.changes(), [DeliveryChange::Trigger; 30]);
    for alert in &mut world.alerts {
        alert.state = AlertState::Closed;
    }
    assert_eq!(world.changes(), [DeliveryChange::Resolve; 30]);
}

#[test]
fn what_trickles_in_becomes_a_storm_too() {
    let mut world = World::new(many("noisy", 0, 25));
    assert_eq!(world.changes(), [DeliveryChange::Trigger; 25]);
    world.alerts.extend(many("noisy", 25, 26));
    assert_eq!(world.changes(), [DeliveryChange::Storm]);
    let mut calm = World::new(many("noisy", 0, 25));
    calm.deliver();
    calm.now += calm.settings.storm_window + 1;
    calm.alerts.extend(many("noisy", 25, 26));
    assert_eq!(calm.changes(), [DeliveryChange::Trigger]);
}

#[test]
fn a_dead_workers_claim_passes_on_with_its_id_and_alerts() {
    let mut world = World::new(vec![alert("a")]);
    let first = world.due().remove(0);
    world.claim(&first);
    world.alerts[0].severity = Severity::Critical;
    assert!(world.due().is_empty(), "it is being told");
    assert_eq!(next_at(&world.log), Some(NOW + world.settings.claim));
    world.now += world.settings.claim;
    let second = world.due();
    assert_eq!(second.len(), 1);
    let (old, new) = (&first.claim, &second[0].claim);
    assert_eq!((&new.delivery_id, &new.alert_ids, new.attempt), (&old.delivery_id, &old.alert_ids, 2));
    assert_eq!(new.severity, Severity::Medium, "what is told is what was claimed; the rise is told after it");
    world.claim(&second[0]);
    world.settle(&second[0], DeliveryState::Delivered);
    assert_eq!(world.changes(), [DeliveryChange::Update]);
}

#[test]
fn what_is_parked_stays_until_it_is_asked_for() {
    let mut world = World::new(vec![alert("a")]);
    let due = world.due().remove(0);
    world.claim(&due);
    world.settle(&due, DeliveryState::Parked);
    world.alerts[0].severity = Severity::Critical;
    world.now += time::DAY;
    assert!(world.due().is_empty() && next_at(&world.log).is_none());
    world.append(DeliveryStep { state: DeliveryState::Failed, attempt: 0, next_at: Some(world.now), ..due.claim });
    assert_eq!(world.changes(), [DeliveryChange::Trigger]);
    assert_eq!(world.changes(), [DeliveryChange::Update]);
}

#[test]
fn pauses_double_and_end_in_parking() {
    let settings = DeliverySettings::default();
    let tried = |attempt| DeliveryStep { attempt, ..World::new(vec![alert("a")]).due().remove(0).claim };
    let failed = |after| Failed { park: false, after, status: Some("500".to_owned()), detail: "no".to_owned() };
    let pause = |attempt, chance| {
        let step = after_failure(&tried(attempt), failed(None), &settings, NOW, chance);
        assert_eq!(step.state, DeliveryState::Failed);
        step.next_at.expect("it comes again") - NOW
    };
    assert_eq!((pause(1, 0), pause(2, 0), pause(4, 0)), (5_000_000, 10_000_000, 40_000_000));
    assert_eq!(pause(19, 0), settings.longest_pause);
    assert!((5_000_000..6_000_000).contains(&pause(1, u64::MAX)));
    let asked = after_failure(&tried(1), failed(Some(time::HOUR)), &settings, NOW, 0);
    assert_eq!(asked.next_at, Some(NOW + time::HOUR));
    let last = after_failure(&tried(20), failed(None), &settings, NOW, 0);
    assert_eq!((last.state, last.next_at), (DeliveryState::Parked, None));
    let refused = after_failure(&tried(1), Failed { park: true, ..failed(None) }, &settings, NOW, 0);
    assert_eq!(refused.state, DeliveryState::Parked);
}

/// What may happen to the world between two rounds.
#[derive(Clone, Debug)]
enum Event {
    Raise(usize, Severity),
    Grow(usize, i64),
    Close(usize),
    Acknowledge(usize),
    /// A round: for each delivery, whether it arrives, fails, or its worker dies.
    Round(Vec<u8>),
    Wait(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let severity = prop_oneof![Just(Severity::Medium), Just(Severity::High), Just(Severity::Critical)];
    let event = prop_oneof![
        (0..12_usize, severity).prop_map(|(at, severity)| Event::Raise(at, severity)),
        (0..12_usize, 1..200_i64).prop_map(|(at, by)| Event::Grow(at, by)),
        (0..12_usize).prop_map(Event::Close),
        (0..12_usize).prop_map(Event::Acknowledge),
        prop::collection::vec(0..4_u8, 1..12).prop_map(Event::Round),
        (1..40_i64).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    /// Every alert that is to be told is told, each id stands for one change of the same alerts, nothing is told twice
    /// after it arrived, and an alert's changes come in order.
    #[test]
    fn nothing_is_lost_and_an_id_means_one_thing(events in events()) {
        let mut world = World::new(Vec::new());
        world.settings.storm_alerts = 4;
        let mut meaning: HashMap<String, (DeliveryChange, Vec<String>)> = HashMap::new();
        let mut raised: HashMap<usize, String> = HashMap::new();
        let calm = std::iter::repeat_n([Event::Wait(60), Event::Round(vec![0; 40])], 6).flatten();
        for event in events.into_iter().chain(calm) {
            match event {
                Event::Raise(at, severity) => {
                    let id = format!("alert-{at}");
                    if raised.insert(at, id.clone()).is_none() {
                        let evidence = vec![event_of(at / 3)];
                        world.alerts.push(Alert { severity, evidence, rule_id: format!("rule-{}", at % 2), ..alert(&id) });
                    }
                }
                Event::Grow(at, by) => {
                    let last = world.alerts.len();
                    if let Some(alert) = world.alerts.get_mut(at % last.max(1)) {
                        alert.event_count += by;
                    }
                }
                Event::Close(at) => set_state(&mut world, at, AlertState::Closed),
                Event::Acknowledge(at) => set_state(&mut world, at, AlertState::Acknowledged),
                Event::Wait(minutes) => world.now += minutes * MINUTE,
                Event::Round(fates) => {
                    for (due, fate) in world.due().into_iter().zip(fates.iter().cycle()) {
                        let said = (due.claim.change, due.claim.alert_ids.clone());
                        let before = meaning.entry(due.claim.delivery_id.clone()).or_insert_with(|| said.clone());
                        prop_assert_eq!(&*before, &said, "an id means one thing");
                        if let Some(known) = world.log.get(&due.claim.delivery_id) {
                            prop_assert!(is_under_way(&known.step), "told again after it was settled");
                        }
                        world.claim(&due);
                        match fate {
                            0 | 1 => world.settle(&due, DeliveryState::Delivered),
                            2 => {
                                let failed = Failed { park: false, after: None, status: None, detail: String::new() };
                                let step = after_failure(&due.claim, failed, &world.settings, world.now, 7);
                                world.append(step);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        prop_assert!(world.due().is_empty(), "a calm world has nothing left to tell");
        let arrived = |id: &str| world.log.get(id).is_some_and(|one| one.step.state == DeliveryState::Delivered);
        for alert in world.alerts.iter().filter(|alert| is_told(alert)) {
            let own = delivery_id(&alert.alert_id, "pager", DeliveryChange::Trigger, "0");
            let step = &world.log[&own].step;
            match step.state {
                DeliveryState::Covered => {
                    let by = step.detail.as_deref().expect("who covers it");
                    prop_assert!(arrived(by) && world.log[by].step.alert_ids.contains(&alert.alert_id));
                }
                state => prop_assert_eq!(state, DeliveryState::Delivered),
            }
        }
    }
}

fn event_of(number: usize) -> Evidence {
    event(&format!("event-{number}"))
}

fn set_state(world: &mut World, at: usize, state: AlertState) {
    let last = world.alerts.len();
    if let Some(alert) = world.alerts.get_mut(at % last.max(1))
        && alert.state != AlertState::Closed
    {
        alert.state = state;
    }
}
