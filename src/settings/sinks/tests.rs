//! Sinks and routes as they are read, refused and shown.

use serde_json::json;

use super::*;
use crate::{
    exit_code::ExitCode,
    settings::{Line, Settings},
};

const SLACK: &str =
    "[[sink]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/services/T/B/secret\"\n";

fn refused(text: &str) -> (String, String) {
    let failure = Settings::from_text(text).expect_err(text);
    assert_eq!(failure.code, ExitCode::Config);
    (failure.message, failure.hint.unwrap_or_default())
}

fn shown(text: &str) -> Vec<(String, String)> {
    let settings = Settings::from_text(text).expect("a valid configuration");
    settings.lines().into_iter().map(|line: Line| (line.key.clone(), line.written())).collect()
}

#[test]
fn sinks_and_routes_are_read() {
    let text = format!(
        "{SLACK}[[sink]]\nname = \"mail\"\nkind = \"email\"\nhost = \"mx\"\nfrom = \"a@b\"\nto = [\"c@d\"]\npassword = {{ \
         file = \"/run/secrets/smtp\" }}\n[[route]]\nmin_severity = \"high\"\nclasses = [\"detection\"]\nrules = \
         [\"root_*\"]\naccounts = [\"111122223333\"]\nowners = [\"team-*\"]\nsinks = [\"chat\"]\ncontinue = \
         true\n[[route]]\nsinks = []\n[delivery]\nstorm_alerts = 3\n"
    );
    let delivery = Settings::from_text(&text).expect("valid").file.delivery;
    assert_eq!((delivery.sink.len(), delivery.storm_alerts), (2, 3));
    assert_eq!(delivery.sink[1].password, Some(SecretText::File("/run/secrets/smtp".into())));
    let routes = delivery.routes();
    assert_eq!((routes.len(), routes[0].goes_on, routes[1].goes_on), (2, true, false));
    assert_eq!(
        (routes[0].sinks.as_slice(), routes[0].accounts[0].as_str()),
        (&["chat".to_owned()][..], "111122223333")
    );
    assert!(routes[1].sinks.is_empty());

    let without = Settings::from_text(SLACK).expect("valid").file.delivery.routes();
    assert_eq!((without.len(), without[0].min_severity.as_str()), (1, "medium"));
    assert_eq!(without[0].sinks, ["chat"]);
}

#[test]
fn a_secret_is_never_shown() {
    let text = format!(
        "{SLACK}[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {{ env = \"HOOK\" }}\nsigning_key = \"0123456789secret\"\n"
    );
    let lines = shown(&text);
    assert!(!format!("{lines:?}").contains("secret\""), "{lines:?}");
    assert!(!format!("{lines:?}").contains("services/T"), "{lines:?}");
    let value = |key: &str| lines.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    assert_eq!(value("sink[0].url").as_deref(), Some("\"***\""));
    assert_eq!(value("sink[1].url"), Some(json!({ "env": "HOOK" }).to_string()));
    assert_eq!(value("sink[0].routing_key"), None, "what belongs to other kinds is not shown");
    let settings = Settings::from_text(&text).expect("valid");
    assert!(!format!("{:?}", settings.file).contains("secret\""));
    // Not even where it is refused.
    let (message, _) = refused("[[sink]]\nname = \"x\"\nkind = \"slack\"\nurl = { enf = \"T0P\" }\n");
    assert!(message.contains("sink[0].url: the value is not a text") && !message.contains("T0P"), "{message}");
}

#[test]
fn what_does_not_fit_is_refused_with_its_line_and_a_way_out() {
    for (text, message, hint) in [
        (
            format!("{SLACK}rooting_key = \"x\"\n"),
            "keytrail.toml:5: unknown key `rooting_key` in [sink]",
            "routing_key",
        ),
        (
            format!("{SLACK}topic_arn = \"x\"\n"),
            "keytrail.toml:5: sink[0].topic_arn: a sink of kind slack has no `topic_arn`",
            "`url`",
        ),
        (format!("{SLACK}{SLACK}"), "keytrail.toml:6: sink[1].name: there is a sink `chat` already", "another"),
        ("[[sink]]\nname = \"x\"\nkind = \"slack\"\n".to_owned(), "sink[0]: `url` is missing", "slack needs it"),
        ("[[sink]]\nname = \"x\"\nkind = \"slak\"\n".to_owned(), "sink[0].kind: \"slak\" is not one of `stdout`", ""),
        ("[[sink]]\nname = \"X y\"\nkind = \"stdout\"\n".to_owned(), "sink[0].name: \"X y\" is not a name", ""),
        (
            "[[sink]]\nname = \"x\"\nkind = \"stdout\"\nformat = \"text\"\n".to_owned(),
            "sink[0].format: a sink of kind stdout takes no text",
            "ocsf",
        ),
        (
            "[[sink]]\nname = \"x\"\nkind = \"securityhub\"\naccount_id = \"111122223333\"\n".to_owned(),
            "`region` is missing",
            "aws.region",
        ),
        (format!("{SLACK}[[route]]\nsinks = [\"chatt\"]\n"), "route[0].sinks: there is no sink `chatt`", "`chat`"),
        (
            format!("{SLACK}[[route]]\nmin_severity = \"loud\"\nsinks = []\n"),
            "route[0].min_severity: \"loud\" is not",
            "",
        ),
        (format!("{SLACK}[[route]]\nrules = [\"x\"]\n"), "route[0]: `sinks` is missing", ""),
        ("[delivery]\nclaim = \"10ms\"\n".to_owned(), "delivery.claim: 10ms is outside 5s to 1h", ""),
    ] {
        let (found, way_out) = refused(&text);
        assert!(found.contains(message), "{found}");
        assert!(way_out.contains(hint) || found.contains(hint), "{way_out}");
    }
}

#[test]
fn a_secret_is_read_where_it_is_kept() {
    let folder = std::env::temp_dir().join(format!("keytrail-secret-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (full, empty) = (folder.join("full"), folder.join("empty"));
    fs::write(&full, "value\n").expect("a file");
    fs::write(&empty, "\n").expect("a file");
    assert_eq!(SecretText::File(full).reveal().as_deref(), Ok("value"));
    assert!(SecretText::File(empty).reveal().expect_err("empty").ends_with("is empty"));
    assert!(SecretText::File(folder.join("none")).reveal().expect_err("none").contains("failed to read"));
    let missing = SecretText::Env("KEYTRAIL_NO_SUCH_VARIABLE".to_owned()).reveal().expect_err("not set");
    assert!(missing.contains("KEYTRAIL_NO_SUCH_VARIABLE is not set"));
    fs::remove_dir_all(&folder).expect("the folder goes");
}
