use super::*;
use crate::sink::{
    Response,
    testing::{Reply, Server},
};

const SECRET: &str = "T0000000/B0000000/XXXXXXXXXXXXXXXX";

async fn post(replies: Vec<Reply>, timeout: Duration) -> (Server, Result<Answer, SendError>) {
    let server = Server::start(replies).await;
    let settings = HttpSettings { timeout, ..HttpSettings::default() };
    let key = Hidden::new("a-signing-key");
    let http =
        Http::new("ops", &format!("{}/services/{SECRET}?token=query-secret", server.base), true, &[&key], &settings)
            .expect("well configured");
    let result = http.post(HeaderMap::new(), b"{}".to_vec()).await;
    (server, result)
}

async fn kind(reply: Reply) -> SendErrorKind {
    let (_server, result) = post(vec![reply], Duration::from_secs(30)).await;
    result.err().expect("an error").kind
}

fn answer(status: &'static str, headers: &'static [&'static str]) -> Reply {
    Reply::Answer(status, headers, String::new())
}

#[tokio::test]
async fn what_was_taken_is_told_from_what_will_never_be_and_what_may_be_later() {
    let (_server, result) = post(vec![Reply::ok("ok")], Duration::from_secs(30)).await;
    assert_eq!(result.expect("taken").body.as_deref(), Some("ok"));
    let later = |retry_after| SendErrorKind::Unavailable { retry_after };
    assert_eq!(kind(answer("500 Internal Server Error", &[])).await, later(None));
    assert_eq!(kind(answer("503 Busy", &["Retry-After: 7"])).await, later(Some(Duration::from_secs(7))));
    let throttled = SendErrorKind::Throttled { retry_after: Some(Duration::from_secs(30)) };
    assert_eq!(kind(answer("429 Too Many Requests", &["Retry-After: 30"])).await, throttled);
    assert_eq!(throttled.response(), Response::Retry { after: Some(Duration::from_secs(30)) });
    assert_eq!(kind(answer("400 Bad Request", &[])).await, SendErrorKind::Refused);
    assert_eq!(kind(answer("404 Not Found", &[])).await.response(), Response::Park);
    assert_eq!(kind(Reply::Reset).await, SendErrorKind::Unreachable);
    assert_eq!(SendErrorKind::Unreachable.response(), Response::Retry { after: None });
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_in_time() {
    let (_server, result) = post(vec![Reply::Slow], Duration::from_millis(200)).await;
    assert_eq!(result.err().expect("no answer").kind, SendErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let (_server, result) = post(vec![Reply::Truncated("200 OK")], Duration::from_secs(30)).await;
    let answer = result.expect("the status stands");
    assert_eq!((answer.status, answer.body), (200, None));
    assert_eq!(kind(Reply::Truncated("502 Bad Gateway")).await, SendErrorKind::Unavailable { retry_after: None });
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let (_server, result) = post(vec![Reply::ok(&"x".repeat(8 << 20))], Duration::from_secs(30)).await;
    assert_eq!(result.expect("taken").body.map(|body| body.len()), Some(ANSWER_CAP));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start(vec![Reply::ok("caught")]).await;
    let server = Server::start(vec![answer("307 Temporary Redirect", &["Location: http://127.0.0.1:1/"])]).await;
    let http = Http::new("ops", &server.base, true, &[], &HttpSettings::default()).expect("well configured");
    let error = http.post(HeaderMap::new(), Vec::new()).await.err().expect("a redirect");
    assert_eq!((error.kind, error.status), (SendErrorKind::Redirected, Some(307)));
    assert!(target.requests().await.is_empty());
}

#[tokio::test]
async fn an_error_holds_no_secret_even_where_the_other_side_repeats_it() {
    let echo = format!("no such hook /services/{SECRET}, token query-secret,\r\n key a-signing-key\u{1b}[2J");
    let (server, result) = post(vec![Reply::Answer("404 Not Found", &[], echo)], Duration::from_secs(30)).await;
    let text = format!("{0} {0:?}", result.err().expect("an error"));
    for secret in ["T0000000", "XXXXXXXX", "query-secret", "a-signing-key", "\u{1b}"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("no such hook") && text.contains(server.base.trim_start_matches("http://")), "{text}");
    drop(server);
    // Nobody listens there any more, and the address stays unsaid.
    let unreachable = Http::new("ops", &format!("http://127.0.0.1:1/{SECRET}"), true, &[], &HttpSettings::default())
        .expect("well configured");
    let error = unreachable.post(HeaderMap::new(), Vec::new()).await.err().expect("nobody there");
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind, SendErrorKind::Unreachable);
    assert!(!text.contains("T0000000") && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_set() {
    let proxy = Server::start(vec![Reply::ok("")]).await;
    let through = HttpSettings { proxy: Some(Hidden::new(&proxy.base)), ..HttpSettings::default() };
    let http = Http::new("ops", "http://127.0.0.1:1/in", true, &[], &through).expect("well configured");
    assert_eq!(http.post(HeaderMap::new(), Vec::new()).await.expect("taken").status, 200);
    assert_eq!(proxy.requests().await[0].path, "http://127.0.0.1:1/in");
}

#[test]
fn addresses_are_https_or_this_machine() {
    let open = |url: &str, allow_plaintext| {
        let settings = HttpSettings { allow_plaintext, ..HttpSettings::default() };
        Http::new("ops", url, true, &[], &settings).map(|http| http.place().to_owned()).map_err(|error| error.kind)
    };
    assert_eq!(open("https://hooks.example.org/x", false), Ok("hooks.example.org".into()));
    assert_eq!(open("http://localhost:8080/x", false), Ok("localhost:8080".into()));
    assert_eq!(open("http://[::1]:8080/x", false), Ok("[::1]:8080".into()));
    assert_eq!(open("http://10.0.0.1/x", true), Ok("10.0.0.1".into()));
    for url in ["http://10.0.0.1/x", "http://localhost.example.org/", "ftp://localhost/", "no address", "data:x"] {
        assert!(matches!(open(url, false), Err(SendErrorKind::Misconfigured(_))), "{url}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_and_never_too_long() {
    let read = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, reqwest::header::HeaderValue::from_static(value));
        retry_after(&headers)
    };
    assert_eq!(read("120"), Some(Duration::from_secs(120)));
    assert_eq!(read("99999999999"), Some(LONGEST_WAIT));
    assert_eq!(read("Tue, 31 Dec 2199 23:59:59 GMT"), Some(LONGEST_WAIT));
    assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(read("soon"), None);
    assert_eq!(read("-1"), None);
}
