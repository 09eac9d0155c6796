//! Over real sockets, with requests written by hand: what any client would see.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::operations::{Check, Readiness};

struct Fixed {
    queue_ok: bool,
}

impl Operations for Fixed {
    fn readiness(&self) -> Readiness {
        let check = |name, ok, detail: &str| Check { name, ok, detail: detail.to_owned() };
        Readiness { checks: vec![check("lake", true, "open"), check("queue", self.queue_ok, "as asked")] }
    }

    fn metrics(&self) -> String {
        "keytrail_up 1\n".to_owned()
    }
}

async fn started(queue_ok: bool) -> (SocketAddr, CancellationToken) {
    let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let (address, stop) = (server.address(), CancellationToken::new());
    tokio::spawn(server.serve(Arc::new(Fixed { queue_ok }), stop.clone()));
    (address, stop)
}

async fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

#[tokio::test]
async fn health_readiness_and_metrics_answer() {
    let (address, _stop) = started(true).await;
    let alive = get(address, "/healthz", "localhost").await;
    assert!(alive.starts_with("HTTP/1.1 200") && alive.ends_with("ok\n"), "{alive}");
    let ready = get(address, "/readyz", "127.0.0.1:1").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let body: serde_json::Value = serde_json::from_str(ready.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!((&body["ready"], &body["checks"][0]["name"]), (&true.into(), &"lake".into()));
    let metrics = get(address, "/metrics", "localhost").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4") && metrics.ends_with("keytrail_up 1\n"));
}

#[tokio::test]
async fn what_is_not_ready_says_so_and_stays_alive() {
    let (address, _stop) = started(false).await;
    let ready = get(address, "/readyz", "localhost").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"ready\":false"), "{ready}");
    assert!(get(address, "/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn every_answer_carries_the_headers_and_foreign_names_are_refused() {
    let (address, _stop) = started(true).await;
    for (path, host, status) in
        [("/healthz", "localhost", "200"), ("/nothing", "localhost", "404"), ("/metrics", "evil.example", "421")]
    {
        let answer = get(address, path, host).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {host}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{path} lacks {header}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_a_cancelled_server_ends() {
    let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let error = Server::bind(server.address()).await.expect_err("taken");
    assert!(error.to_string().contains("http.listen"), "{error}");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(Arc::new(Fixed { queue_ok: true }), stop.clone()));
    stop.cancel();
    serving.await.expect("no panic").expect("ended well");
}
