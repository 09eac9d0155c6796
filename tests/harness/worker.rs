//! `keytrail run` as a process: configured, watched, killed.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    World,
    emulator::free_port,
    http,
    wait::{PATIENCE, block_on, until},
};

/// What is written to the configuration file of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) queue_url: String,
    /// The emulator's URL, or the fault proxy's.
    pub(crate) endpoint: String,
    pub(crate) lake: String,
    pub(crate) lease: &'static str,
    pub(crate) commit_after: &'static str,
    pub(crate) shutdown_within: &'static str,
    /// Whether what is committed is judged. Most tests of the worker do without: opening the rules takes seconds.
    pub(crate) rules: bool,
    /// More lines, any section.
    pub(crate) more: String,
    /// More lines of `[worker]`.
    pub(crate) worker: String,
}

impl Config {
    /// Short times, so that a test sees redelivery.
    pub(crate) fn new(world: &World, queue_url: &str, endpoint: &str) -> Self {
        Self {
            queue_url: queue_url.to_owned(),
            endpoint: endpoint.to_owned(),
            lake: world.lake().to_str().expect("UTF-8").to_owned(),
            lease: "30s",
            commit_after: "200ms",
            shutdown_within: "20s",
            rules: false,
            more: String::new(),
            worker: String::new(),
        }
    }

    fn text(&self, listen: &str) -> String {
        format!(
            "[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\n\n[queue]\nurl = \"{}\"\n\n[worker]\nlease = \
             \"{}\"\nwait = \"1s\"\ncommit_after = \"{}\"\nshutdown_within = \"{}\"\n{}\n\n[http]\nlisten = \
             \"{listen}\"\n\n[log]\nformat = \"json\"\n\n{}",
            self.endpoint, self.queue_url, self.lease, self.commit_after, self.shutdown_within, self.worker, self.more
        )
    }

    /// Writes the file and returns its path.
    pub(crate) fn write(&self, world: &World, name: &str, listen: &str) -> PathBuf {
        let path = world.path(&format!("{name}.toml"));
        fs::write(&path, self.text(listen)).expect("a configuration file");
        path
    }
}

/// A running worker. It is killed when it is dropped; if a test fails, the end of its log is shown.
pub(crate) struct Worker {
    process: Child,
    log: PathBuf,
    listen: String,
}

impl Worker {
    pub(crate) fn start(world: &World, name: &str, config: &Config) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let path = config.write(world, name, &listen);
        let log = world.path(&format!("{name}.log"));
        let append = || -> Stdio { File::options().create(true).append(true).open(&log).expect("a log file").into() };
        let mut arguments = vec!["run", "--config", path.to_str().expect("UTF-8"), "--lake", &config.lake];
        arguments.extend((!config.rules).then_some("--no-rules"));
        let process =
            world.aws_command(&arguments).stdout(append()).stderr(append()).spawn().expect("the program starts");
        Self { process, log, listen }
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn wait_until_ready(&mut self) {
        until("a worker that is ready", PATIENCE, || {
            let ended = self.process.try_wait().expect("a child");
            assert!(ended.is_none(), "the worker ended by itself: {ended:?}\n{}", self.log());
            self.get("/readyz").is_some_and(|(status, _)| status == 200).then_some(())
        });
    }

    /// A page of the worker's own, where it answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        block_on(http::get(&self.listen, path)).ok()
    }

    /// The sum of a metric over its labels, 0 where it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").map(|(_, text)| text).unwrap_or_default();
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("a child").is_none()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("a killed child");
    }

    /// SIGTERM, and the exit code; how long it took.
    pub(crate) fn terminate(&mut self, within: Duration) -> (i32, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().expect("kill");
        assert!(sent.success(), "SIGTERM was not sent\n{}", self.log());
        let status = until("the end of a worker after SIGTERM", within, || self.process.try_wait().expect("a child"));
        (status.code().unwrap_or(-1), started.elapsed())
    }

    /// The largest memory it ever had, in bytes, without the pages of its program file: unoptimised code is several times as
    /// large as what users run.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it is running");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel's");
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
        };
        bytes("VmHWM:") - bytes("RssFile:")
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the program said")]
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of {}:", self.log.display());
            for line in lines.iter().skip(lines.len().saturating_sub(30)) {
                eprintln!("{line}");
            }
        }
    }
}
