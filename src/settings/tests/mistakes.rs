//! What is refused, where it is said to stand, and what is told to write instead.

use super::*;

#[test]
fn an_unknown_key_is_refused_at_every_level_with_line_and_nearest_key() {
    for (text, line, hint) in [
        ("lak = \"x\"\n", 1, "did you mean `lake`?"),
        ("[wroker]\n", 1, "did you mean `worker`?"),
        ("lake = \"x\"\n[readers]\nupkep = []\n", 3, "did you mean `upkeep`?"),
        ("[worker]\n\nlaese = \"2m\"\n", 3, "did you mean `lease`?"),
        ("[queue]\nlease = \"2m\"\n", 2, "`lease` belongs into [worker]"),
        ("[aws.assume_rol]\n", 1, "did you mean `assume_role`?"),
        ("[aws.assume_role]\nrole_anr = \"x\"\n", 2, "did you mean `role_arn`?"),
        ("[[policy.network]]\ncidr = []\n", 2, "did you mean `cidrs`?"),
        ("[http]\nfrobnicate = 1\n", 2, "there are `listen`, `allow_remote`"),
        ("worker.lease = \"5m\"\nworker.lese = \"2m\"\n", 2, "did you mean `lease`?"),
    ] {
        let (message, found) = refused(text);
        assert!(message.starts_with(&format!("keytrail.toml:{line}: unknown key `")), "{text}: {message}");
        assert_eq!(found, hint, "{text}");
    }
}

#[test]
fn a_wrong_value_names_file_line_key_and_what_is_expected() {
    for (text, expected) in [
        (
            "[worker]\nlease = \"24 parsecs\"\n",
            "keytrail.toml:2: worker.lease: \"24 parsecs\" is not a length of time; write for example \"30s\", \"5m\" or \"24h\"",
        ),
        ("[worker]\nlease = 30\n", "keytrail.toml:2: worker.lease: 30 is not a length of time"),
        ("[worker]\nlease = \"10s\"\n", "keytrail.toml:2: worker.lease: 10s is outside 30s to 12h"),
        ("[worker]\nlease = \"13h\"\n", "keytrail.toml:2: worker.lease: 13h is outside 30s to 12h"),
        ("[worker]\nwait = \"21s\"\n", "keytrail.toml:2: worker.wait: 21s is outside 0s to 20s"),
        ("[worker]\nfetches = 0\n", "keytrail.toml:2: worker.fetches: 0 is outside 1 to 1024"),
        ("[worker]\nfetches = -3\n", "keytrail.toml:2: worker.fetches: -3 is not a whole number"),
        ("[ingest]\nbatch_rows = 0\n", "keytrail.toml:2: ingest.batch_rows: 0 is outside"),
        ("[ingest]\nmax_object_bytes = \"lots\"\n", "keytrail.toml:2: ingest.max_object_bytes: \"lots\" is not a size"),
        ("[ingest]\nscope = \"some\"\n", "keytrail.toml:2: ingest.scope: \"some\" is not `secrets` or `all`"),
        (
            "[reconcile]\nbuckets = [\"bucket\"]\n",
            "keytrail.toml:2: reconcile.buckets: [\"bucket\"] is not a list of places in buckets",
        ),
        ("[reconcile]\nbuckets = [\"s3://b*d/x\"]\n", "is not a list of places in buckets"),
        ("[http]\nlisten = \"localhost\"\n", "is not an address with a port"),
        ("[log]\nlevel = \"loud\"\n", "is not one of `error`, `warn`, `info`, `debug`, `trace`"),
        ("[queue]\nurl = \"keytrail\"\n", "is not an http or https address"),
        ("[aws]\nendpoint_url = \"https://example.org/?token=x\"\n", "is not an http or https address"),
        ("[[aws.accounts]]\nid = \"444455556666\"\n", "keytrail.toml:1: aws.accounts[0]: `role_arn` is missing"),
        (
            "[[aws.accounts]]\nid = 444455556666\nrole_arn = \"arn:aws:iam::444455556666:role/r\"\n",
            "is not an account id (twelve digits, in quotes)",
        ),
        ("aws.accounts = 3\n", "aws.accounts is a list of tables"),
        ("worker = 3\n", "worker is a section"),
        ("rules.new_principal = 3\n", "rules.new_principal is a section"),
        ("[access_log.fields]\na = 3\n", "access_log.fields.a: it is not a text"),
        ("[worker]\nfetches = 99999999999999999999\n", "keytrail.toml:2:"),
        ("[worker\n", "keytrail.toml:1:"),
        ("[worker]\nlease = \"2m\"\nlease = \"3m\"\n", "keytrail.toml:3: duplicate key"),
    ] {
        let (message, _) = refused(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused_where_they_stand() {
    let sqs = "url = \"https://sqs.eu-central-1.amazonaws.com/111122223333/q\"";
    for (text, expected) in [
        (
            format!("[queue]\n{sqs}\nfolder = \"inbox\"\n"),
            "keytrail.toml:3: queue.folder: queue.url (keytrail.toml:2) is set as well",
        ),
        (
            "[worker]\nshutdown_within = \"2m\"\n".to_owned(),
            "keytrail.toml:2: worker.shutdown_within: shutdown_within (2m) is not shorter than lease (2m)",
        ),
        (
            "[worker]\ncommit_after = \"90s\"\n".to_owned(),
            "keytrail.toml:2: worker.commit_after: commit_after (90s) is more than half of lease (2m)",
        ),
        (
            "[reconcile]\nlook_back = \"1h\"\ngrace = \"60m\"\n".to_owned(),
            "keytrail.toml:3: reconcile.grace: 1h leaves nothing of look_back (1h)",
        ),
        ("[aws.assume_role]\nexternal_id = \"abc\"\n".to_owned(), "there is no role_arn that it belongs to"),
        (
            "[[aws.accounts]]\nid = \"444455556666\"\nrole_arn = \"arn:aws:iam::111122223333:role/r\"\n".to_owned(),
            "keytrail.toml:3: aws.accounts[0].role_arn: the role is in account 111122223333",
        ),
        (
            "[http]\nlisten = \"0.0.0.0:80\"\n".to_owned(),
            "keytrail.toml:2: http.listen: 0.0.0.0:80 can be reached by other machines, and there is no login yet",
        ),
    ] {
        let (message, hint) = refused(&text);
        assert!(message.contains(expected) && !hint.is_empty(), "{text}: {message}");
    }
    assert!(read("[http]\nlisten = \"0.0.0.0:80\"\nallow_remote = true\n").file.http.allow_remote);
    assert!(read("[http]\nlisten = \"[::1]:80\"\n").file.http.listen.is_ipv6());
    assert!(read("").file.queue.source().is_err_and(|failure| failure.message == "no queue is configured"));
}

#[test]
fn several_mistakes_are_told_at_once_in_the_files_order() {
    let (message, _) = refused("[worker]\nwait = \"1h\"\nlaese = \"2m\"\n[aws]\nregoin = \"x\"\n");
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 4, "{message}");
    assert!(lines[0].starts_with("3 mistakes") && lines[1].starts_with("  keytrail.toml:2: worker.wait"), "{message}");
    assert!(
        lines[2].contains(":3: ") && lines[2].ends_with("did you mean `lease`?") && lines[3].contains(":5: "),
        "{message}"
    );
}

#[test]
fn variables_that_name_no_key_are_refused() {
    for (name, value, message, hint) in [
        (
            "KEYTRAIL__WORKER__LAESE",
            "4m",
            "environment variable KEYTRAIL__WORKER__LAESE: no key has this name",
            "did you mean `KEYTRAIL__WORKER__LEASE`?",
        ),
        (
            "KEYTRAIL__LAKE",
            "x",
            "environment variable KEYTRAIL__LAKE: no key has this name",
            "did you mean `KEYTRAIL_LAKE`?",
        ),
        ("KEYTRAIL__worker__lease", "4m", "environment variable KEYTRAIL__worker__lease: no key has this name", ""),
        (
            "KEYTRAIL__WORKER__WAIT",
            "25s",
            "environment variable KEYTRAIL__WORKER__WAIT: worker.wait: 25s is outside 0s to 20s",
            "",
        ),
        ("KEYTRAIL__HTTP__ALLOW_REMOTE", "yes", "http.allow_remote: \"yes\" is not true or false", ""),
    ] {
        let failure = load("", &[(name, value)], None).expect_err(name);
        assert!(failure.message.contains(message), "{}", failure.message);
        assert_eq!(failure.hint.unwrap_or_default(), hint, "{name}");
    }
    // Other variables of ours are no keys.
    assert!(load("", &[("KEYTRAIL_LOG", "debug"), ("KEYTRAIL_REAL_DATA", "x")], None).is_ok());
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    assert!(refused("[worker]\r\nlease = \"3m\"\r\nlaese = 1\r\n").0.starts_with("keytrail.toml:3: "));
    assert!(refused("\u{feff}[worker]\nlaese = 1\n").0.starts_with("keytrail.toml:2: "));
    assert!(refused("# é 名\n[worker]\nlaese = \"é\"").0.starts_with("keytrail.toml:3: "));
}

proptest::proptest! {
    /// Whatever stands there, the answer is settings or a mistake with its place.
    #[test]
    fn no_text_brings_the_reader_down(
        parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..14),
        noise in "\\PC{0,6}",
    ) {
        let text = format!("{}{noise}", parts.concat());
        if let Err(failure) = load(&text, &[("KEYTRAIL__WORKER__LEASE", noise.as_str())], None) {
            proptest::prop_assert_eq!(failure.code, ExitCode::Config);
            proptest::prop_assert!(failure.message.contains("keytrail.toml:") || failure.message.contains("KEYTRAIL__"));
        }
    }
}

/// Pieces that configurations are made of, right and wrong.
const PARTS: &[&str] = &[
    "[aws]\n",
    "[worker]\n",
    "[[aws.accounts]]\n",
    "[[policy.network]]\n",
    "[rules.x]\n",
    "[rules]\n",
    "[access_log.fields]\n",
    "[queue]\n",
    "lease = ",
    "id = ",
    "role_arn = ",
    "accounts = ",
    "lake = ",
    "fetches = ",
    "url = ",
    "a.b.c = ",
    "\"5m\"\n",
    "1\n",
    "-9223372036854775808\n",
    "1e999\n",
    "nan\n",
    "[1, \"x\", {}]\n",
    "{ a = 1 }\n",
    "\"\"\n",
    "2026-01-01T00:00:00Z\n",
    "\n",
    "[",
    "]",
    "\"https://u:p@[::1\"\n",
    "\"s3://abc/\"\n",
    "'''",
    "\"é\u{202e}\"\n",
    "true\n",
];
