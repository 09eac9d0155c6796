//! What the suites share: a world of temporary folders, the program as a user runs it, and the public recordings; for the
//! worker an emulator of AWS, a proxy that makes things go wrong, and objects whose rows are known.

mod announce;
pub(crate) mod corpus;
pub(crate) mod emulator;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod python;
mod tests;
pub(crate) mod wait;
pub(crate) mod worker;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

pub(crate) use self::announce::{s3_message, s3_record};

/// A temporary folder with a lake of its own.
pub(crate) struct World {
    folder: tempfile::TempDir,
    /// Another lake and the configuration that leads to it.
    elsewhere: Option<(String, PathBuf)>,
}

/// What a run of the program printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), elsewhere: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    /// From now on every command works on this lake with this configuration file, and with AWS credentials.
    pub(crate) fn use_lake(&mut self, lake: &str, config: PathBuf) {
        self.elsewhere = Some((lake.to_owned(), config));
    }

    /// The program with this world's lake and nothing from the outer environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keytrail"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("KEYTRAIL_CONFIG")
            .env("KEYTRAIL_LAKE", self.lake())
            .stdin(Stdio::null());
        if let Some((lake, config)) = &self.elsewhere {
            command.env("KEYTRAIL_LAKE", lake).env("KEYTRAIL_CONFIG", config);
            with_credentials(&mut command);
        }
        command
    }

    /// The program as [`World::command`] has it, with the credentials that every emulator takes.
    pub(crate) fn aws_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        with_credentials(&mut command);
        command
    }

    /// Runs to the end with AWS credentials and keeps what was printed.
    pub(crate) fn run_aws(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.aws_command(arguments).output().expect("the program starts"))
    }

    /// Runs to the end and keeps what was printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().expect("the program starts"))
    }

    /// Runs and insists on success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
        ran
    }

    /// The rows of a query, as JSON objects.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let ran = self.ok(&["query", "--format", "json", "-e", sql]);
        match serde_json::from_str(&ran.stdout) {
            Ok(Value::Array(rows)) => rows,
            other => panic!("not one JSON array: {other:?}\n{}", ran.stdout),
        }
    }

    /// The single number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        rows.first()
            .and_then(Value::as_object)
            .and_then(|row| row.values().next())
            .and_then(Value::as_i64)
            .unwrap_or_else(|| panic!("no number from {sql}: {rows:?}"))
    }

    /// Every alert, closed and historical ones too.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let ran = self.ok(&["alerts", "list", "--all", "--format", "json"]);
        serde_json::from_str(&ran.stdout).expect("one JSON array")
    }
}

/// The credentials that every emulator takes, and no others.
fn with_credentials(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The folder of public recordings, or `None` after saying that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn recordings(name: &str) -> Option<PathBuf> {
    let root = env::var_os("KEYTRAIL_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recordings at {}; set KEYTRAIL_REAL_DATA", folder.display());
    None
}

/// A seed for what a test does at random: `KEYTRAIL_TEST_SEED`, else the one given; printed either way.
#[expect(clippy::print_stderr, reason = "a failure must be repeatable")]
pub(crate) fn seed(test: &str, default: u64) -> u64 {
    let seed = env::var("KEYTRAIL_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    eprintln!("{test}: KEYTRAIL_TEST_SEED={seed}");
    seed
}
