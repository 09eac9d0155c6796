//! The first command of the README, as a stranger runs it.

use crate::harness::World;

#[test]
fn demo_tells_its_story_and_a_second_run_changes_nothing() {
    let world = World::new();
    let arguments = ["demo", "--dir", "d", "--days", "12", "--no-serve"];
    let first = world.ok(&arguments);
    for part in ["alerts", "keytrail query", "keytrail alerts show", "complete up to"] {
        assert!(first.stdout.contains(part), "no `{part}` in\n{}", first.stdout);
    }
    assert!(first.stdout.contains("[high]") || first.stdout.contains("high "), "no severity\n{}", first.stdout);

    let lake = world.path("d/lake");
    let alerts =
        || world.ok(&["alerts", "list", "--all", "--format", "json", "--lake", lake.to_str().expect("UTF-8")]).stdout;
    let before = alerts();
    let second = world.ok(&arguments);
    assert_eq!(alerts(), before, "a second run must change nothing");
    assert!(second.stdout.contains("nothing new"), "the second run says so\n{}", second.stdout);
}
