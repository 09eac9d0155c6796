//! Mail, to a real SMTP server.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use keytrail_model::{Alert, Severity};
use serde_json::Value;

use super::stage::{Stage, alert};
use crate::harness::{
    emulator::free_port,
    python,
    wait::{PATIENCE, until},
};

/// An SMTP server that writes each message to a file as a JSON line, and defers the first try.
struct Server(Child);

impl Server {
    fn start(port: u16, file: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sinks/smtp.py");
        let child = Command::new(python::interpreter())
            .arg(script)
            .args([&port.to_string(), file.to_str().expect("UTF-8")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("python starts");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn mail_arrives_after_a_deferral_with_one_message_id() {
    let port = free_port();
    let stage = Stage::new(&format!(
        "[[sink]]\nname = \"mail\"\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \
         \"Keytrail <keytrail@example.org>\"\nto = [\"on-call@example.org\", \"ana@example.org\"]\n"
    ));
    let file = stage.world.path("mail.jsonl");
    let _server = Server::start(port, &file);
    let title = "A title\r\nBcc: victim@example.org".to_owned();
    stage.put(&[Alert { title, ..alert("a", Severity::High) }]);
    until("a mail that is taken", PATIENCE, || {
        stage.deliver();
        stage.all_delivered().then_some(())
    });
    let text = fs::read_to_string(&file).expect("the server's file");
    let mails: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(mails.len(), 2, "the one that was deferred, and the one that was taken");
    for mail in &mails {
        assert_eq!(mail["recipients"], serde_json::json!(["on-call@example.org", "ana@example.org"]));
        assert_eq!(mail["message_id"], mails[0]["message_id"]);
        assert!(mail["bcc"].is_null(), "a title adds no header: {mail}");
        assert!(mail["subject"].as_str().is_some_and(|subject| subject.contains("A title")), "{mail}");
        assert!(mail["text"].as_str().is_some_and(|text| text.contains("role/app/billing")), "{mail}");
    }
}
