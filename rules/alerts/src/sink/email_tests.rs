use std::time::Duration;

use proptest::prelude::*;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;
use crate::sink::{
    Hidden, Response,
    testing::{closed, full, hostile_outgoing, outgoing},
};

fn settings(port: u16) -> EmailSettings {
    EmailSettings {
        host: "127.0.0.1".into(),
        port: Some(port),
        tls: EmailTls::None,
        user: None,
        password: None,
        from: "Keytrail <keytrail@example.org>".into(),
        to: vec!["on-call@example.org".into(), "Ana <ana@example.org>".into()],
        timeout: Duration::from_secs(30),
    }
}

fn addresses() -> Addresses {
    Addresses::new("Keytrail <keytrail@example.org>", &["on-call@example.org".to_owned()]).expect("addresses")
}

fn written(outgoing: &Outgoing) -> String {
    String::from_utf8(mail(outgoing, &addresses()).expect("a mail").formatted()).expect("ASCII")
}

fn header<'a>(mail: &'a str, name: &str) -> Option<&'a str> {
    let head = mail.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A mail server for one mail: answers `verdict` to the mail itself (or to RCPT where it begins with 5). Returns what it heard.
async fn server(verdict: &'static str) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (reading, mut writing) = stream.into_split();
        let mut lines = BufReader::new(reading).lines();
        let mut heard = Vec::new();
        let mut in_mail = false;
        writing.write_all(b"220 mail.example.org\r\n").await.expect("writable");
        while let Ok(Some(line)) = lines.next_line().await {
            let reply = match line.as_str() {
                "." if in_mail => {
                    in_mail = false;
                    verdict
                }
                _ if in_mail => "",
                "DATA" => {
                    in_mail = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                line if line.starts_with("EHLO") => "250-mail.example.org\r\n250 8BITMIME",
                line if line.starts_with("RCPT") && verdict.starts_with('5') => verdict,
                _ => "250 ok",
            };
            heard.push(line);
            if !reply.is_empty() {
                writing.write_all(format!("{reply}\r\n").as_bytes()).await.expect("writable");
            }
        }
        heard
    });
    (port, task)
}

#[tokio::test]
async fn a_mail_reaches_the_server() {
    let (port, heard) = server("250 2.0.0 queued as 42").await;
    let sink = Email::new("on-call", &settings(port)).expect("well configured");
    let receipt = sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect("taken");
    assert_eq!((receipt.status, receipt.detail.as_deref()), (Some(250), Some("2.0.0 queued as 42")));
    let heard = heard.await.expect("the server ends");
    for line in [
        "MAIL FROM:<keytrail@example.org>",
        "RCPT TO:<on-call@example.org>",
        "RCPT TO:<ana@example.org>",
        "Subject: HIGH: Bulk read of <prod> by role/app/billing",
        "Message-ID: <6f9619ff-8b86-5d01-b42d-00cf4fc964ff@example.org>",
    ] {
        assert!(heard.iter().any(|it| it.starts_with(line)), "{line} is not in {heard:#?}");
    }
}

#[tokio::test]
async fn what_the_server_says_decides_between_later_and_never() {
    let fails = async |verdict: &'static str| {
        let (port, _heard) = server(verdict).await;
        let sink = Email::new("on-call", &settings(port)).expect("well configured");
        sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("not taken")
    };
    let later = fails("451 4.7.1 greylisted, come back").await;
    assert_eq!((later.response(), later.status), (Response::Retry { after: None }, Some(451)));
    let never = fails("550 5.1.1 no such user").await;
    assert_eq!((never.response(), never.status), (Response::Park, Some(550)));
    assert!(never.to_string().contains("no such user"), "{never}");
}

#[tokio::test]
async fn a_server_that_is_silent_gone_or_without_starttls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let out = outgoing(Change::Trigger, vec![full()]);
    let hasty = EmailSettings { timeout: Duration::from_millis(200), ..settings(port) };
    let silent = Email::new("on-call", &hasty).expect("well configured").send(&out).await.expect_err("silent");
    assert_eq!(silent.kind, SendErrorKind::Timeout);
    drop(listener);
    let gone = Email::new("on-call", &settings(port)).expect("well configured").send(&out).await.expect_err("gone");
    assert_eq!(gone.kind, SendErrorKind::Unreachable);
    let (port, heard) = server("250 ok").await;
    let strict = EmailSettings { tls: EmailTls::StartTls, ..settings(port) };
    let plain = Email::new("on-call", &strict).expect("well configured").send(&out).await.expect_err("no STARTTLS");
    assert!(matches!(plain.kind, SendErrorKind::Misconfigured(_)), "{plain}");
    assert!(!heard.await.expect("the server ends").iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn a_password_is_neither_sent_in_the_clear_by_mistake_nor_shown() {
    let with = |settings: EmailSettings| Email::new("on-call", &settings).err().expect("refused").to_string();
    assert!(with(EmailSettings { host: "mail.example.org".into(), ..settings(25) }).contains("this machine only"));
    assert!(with(EmailSettings { user: Some("me".into()), ..settings(25) }).contains("belong together"));
    assert!(with(EmailSettings { to: Vec::new(), ..settings(25) }).contains("`to` is empty"));
    assert!(with(EmailSettings { to: vec!["nobody".into()], ..settings(25) }).contains("no mail address"));
    assert!(with(EmailSettings { from: "a@b.c\r\nBcc: x@y.z".into(), ..settings(25) }).contains("no mail address"));
    let (port, heard) = server("250 ok").await;
    let login = EmailSettings { user: Some("me".into()), password: Some(Hidden::new("pass-word")), ..settings(port) };
    assert!(!format!("{login:?}").contains("pass-word"));
    // The server offers no way to log in, so nothing is sent.
    let error = Email::new("on-call", &login).expect("well configured");
    let error = error.send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("no login");
    assert!(!format!("{error} {error:?}").contains("pass-word"), "{error:?}");
    assert!(!heard.await.expect("the server ends").concat().contains("AUTH"));
}

#[test]
fn mails_of_one_alert_are_one_thread_and_a_repetition_is_the_same_mail() {
    let first = outgoing(Change::Trigger, vec![full()]);
    let again = written(&Outgoing { attempt: 3, ..first.clone() });
    let root = Some("<alert.0123456789abcdef@example.org>");
    assert_eq!(header(&again, "Message-ID"), header(&written(&first), "Message-ID"));
    assert_eq!((header(&again, "References"), header(&again, "In-Reply-To")), (root, None));
    let close = Outgoing { delivery_id: "d2".into(), ..outgoing(Change::Resolve, vec![closed()]) };
    let close = written(&close);
    assert_eq!((header(&close, "References"), header(&close, "In-Reply-To")), (root, root));
    assert_eq!(header(&close, "Message-ID"), Some("<d2@example.org>"));
    assert_eq!(header(&close, "Auto-Submitted"), Some("auto-generated"));
    let storm = |change| header(&written(&outgoing(change, vec![full()])), "References").map(str::to_owned);
    assert_eq!(storm(Change::Storm), storm(Change::StormOver));
    assert_eq!(storm(Change::Storm).as_deref(), Some("<storm.0123456789abcdef@example.org>"));
    assert_eq!(storm(Change::Test), None);
}

#[test]
fn the_page_reads_like_this() {
    insta::assert_snapshot!(page(&outgoing(Change::Trigger, vec![full(), closed()]).message));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn whatever_an_alert_holds_no_header_and_no_markup_comes_of_it(outgoing in hostile_outgoing()) {
        let mail = written(&outgoing);
        let head = mail.split("\r\n\r\n").next().unwrap_or_default();
        let own = ["From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Auto-Submitted",
            "X-Keytrail-Change", "X-Keytrail-Severity", "MIME-Version", "Content-Type"];
        for line in head.split("\r\n") {
            let is_continued = line.starts_with([' ', '\t']);
            let name = line.split(':').next().unwrap_or_default();
            prop_assert!(is_continued || own.contains(&name), "{line:?}");
            prop_assert!(line.len() <= 998 && line.is_ascii() && !line.contains(['\r', '\n', '\0']));
        }
        prop_assert!(mail.split("\r\n").all(|line| line.len() <= 998));
        let page = page(&outgoing.message);
        for word in ["<script", "<!channel", "</td><script", "javascript:", "<img"] {
            prop_assert!(!page.contains(word), "{page}");
        }
        let links = page.matches("href=").count();
        prop_assert_eq!(links, page.matches("href=\"https://keytrail.example.org/alerts").count());
        prop_assert!(page.len() < 200_000);
    }
}
