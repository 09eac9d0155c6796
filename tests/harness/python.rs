//! A Python of our own with the independent readers in it.
//!
//! Made once under `target/` from `tests/requirements.txt` with `python3 -m venv` and pip, and made anew when that file
//! changes. Several test processes may ask at once: the folder is filled under another name and moved into place.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
};

/// Runs a script with arguments and returns what it printed; a failure shows its messages.
pub(crate) fn run(script: &Path, arguments: &[&str]) -> String {
    let output = Command::new(interpreter()).arg(script).args(arguments).output().expect("python starts");
    assert!(
        output.status.success(),
        "{} {arguments:?} failed:\n{}\n{}",
        script.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn interpreter() -> &'static Path {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(prepare)
}

fn prepare() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let requirements = root.join("tests/requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("tests/requirements.txt");
    let folder = root.join("target/test-python");
    let python = folder.join("bin/python");
    let made_from = folder.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) {
        return python;
    }
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(root.join("target")).expect("target folder");
    step(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
        "python3 -m venv (Debian: apt-get install python3-venv)",
    );
    step(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
        "pip install -r tests/requirements.txt",
    );
    fs::write(&made_from, wanted).expect("the folder was just made");
    python
}

fn step(command: &mut process::Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {what}: {error}"));
    assert!(output.status.success(), "{what} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
