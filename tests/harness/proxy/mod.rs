//! A proxy that makes things go wrong between the program and the emulator.
//!
//! ```text
//! keytrail ──▶ 127.0.0.1:PORT ── operation, target ──▶ plan ── none ──▶ emulator
//!                                                        └── fault ──▶ latency, error, reset, truncation, flipped bit, …
//! ```
//!
//! The program gets the proxy's URL as its endpoint. Requests and answers are held whole; `Expect: 100-continue` is passed
//! on, and the emulator's `100 Continue` comes back, before the body is read. Every request is noted, so that a test can
//! count what was asked.

mod plan;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) use self::plan::{Fault, Operation, Plan, Rule};
use super::{
    emulator::Emulator,
    http::{Head, read_body, read_head},
    wait::{block_on, runtime},
};

/// A request that came by.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    /// Path and query, or for a queue the operation's name.
    pub(crate) target: String,
}

/// A running proxy; it stops when it is dropped.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    plan: Mutex<Arc<Plan>>,
    asked: Mutex<Vec<Asked>>,
    /// A field that no answer carries any more.
    dropped_field: Mutex<Option<String>>,
}

impl Proxy {
    pub(crate) fn before(emulator: &Emulator, plan: Plan) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            upstream: emulator.address().to_owned(),
            plan: Mutex::new(Arc::new(plan)),
            asked: Mutex::default(),
            dropped_field: Mutex::default(),
        });
        let accepting = runtime().spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts other rules in force; the counts of the earlier ones are gone.
    pub(crate) fn set(&self, plan: Plan) {
        *self.shared.plan.lock().expect("no panic while it is held") = Arc::new(plan);
    }

    /// From now on no answer carries this field.
    pub(crate) fn drop_field(&self, name: &str) {
        *self.shared.dropped_field.lock().expect("no panic while it is held") = Some(name.to_owned());
    }

    /// How often each rule in force acted.
    pub(crate) fn applied(&self) -> Vec<u64> {
        self.shared.plan().applied()
    }

    /// Panics unless every rule in force acted at least once.
    pub(crate) fn assert_all_applied(&self) {
        let applied = self.applied();
        assert!(applied.iter().all(|count| *count > 0), "a fault never happened: {applied:?}");
    }

    /// How many requests came by so far.
    pub(crate) fn asked_count(&self) -> usize {
        self.shared.asked.lock().expect("no panic while it is held").len()
    }

    /// The targets of every request of this kind, in order.
    pub(crate) fn asked(&self, operation: Operation) -> Vec<String> {
        let asked = self.shared.asked.lock().expect("no panic while it is held");
        asked.iter().filter(|one| one.operation == operation).map(|one| one.target.clone()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().expect("no panic while it is held"))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A connection that breaks is what this proxy is for.
        connections.spawn(async move { drop(serve(client, &shared).await) });
        while connections.try_join_next().is_some() {}
    }
}

/// One connection of the program, with one of ours behind it.
async fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let mut upstream: Option<BufReader<TcpStream>> = None;
    while let Some(head) = read_head(&mut client).await? {
        let (operation, target) = classify(&head);
        shared.asked.lock().expect("no panic while it is held").push(Asked { operation, target: target.clone() });
        let plan = shared.plan();
        let fault = plan.fault(operation, &target);
        let expects = head.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if let Some(Fault::ResetBefore) = fault {
            return reset(client.into_inner());
        }
        if let Some(Fault::Answer(status, code)) = fault {
            if !expects {
                read_body(&mut client, &head, false).await?;
            }
            let is_head = head.first.starts_with("HEAD ");
            client.write_all(&answer(status, code, operation, is_head)).await?;
            if expects {
                // The body may or may not follow: only a new connection is sure.
                return client.shutdown().await;
            }
            continue;
        }
        if let Some(Fault::Latency(pause)) = fault {
            tokio::time::sleep(pause).await;
        }
        let mut server = match upstream.take() {
            Some(server) => server,
            None => BufReader::new(TcpStream::connect(&shared.upstream).await?),
        };
        let Some((reply, body)) = pass_on(&mut client, &mut server, &head, expects).await? else {
            // The emulator has closed an idle connection: the program's client tries again, as it must with S3 itself.
            return reset(client.into_inner());
        };
        if !reply.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            upstream = Some(server);
        }
        let dropped = shared.dropped_field.lock().expect("no panic while it is held").clone();
        let reply = dropped.map_or(reply.clone(), |name| reply.without(&name));
        if !give_back(&mut client, &head, reply, body, fault, &plan).await? {
            return reset(client.into_inner());
        }
    }
    Ok(())
}

/// Sends the request on and reads the answer; `None` where the emulator has closed the connection.
async fn pass_on(
    client: &mut BufReader<TcpStream>,
    server: &mut BufReader<TcpStream>,
    head: &Head,
    expects: bool,
) -> io::Result<Option<(Head, Vec<u8>)>> {
    let reply = if expects {
        server.write_all(&head.bytes()).await?;
        let Some(interim) = read_head(server).await? else { return Ok(None) };
        if interim.status() == 100 {
            client.write_all(&interim.bytes()).await?;
            let body = read_body(client, head, false).await?;
            server.write_all(&body).await?;
            read_head(server).await?
        } else {
            Some(interim)
        }
    } else {
        let body = read_body(client, head, false).await?;
        let head = head.clone().without("transfer-encoding").with("Content-Length", body.len().to_string());
        server.write_all(&head.bytes()).await?;
        server.write_all(&body).await?;
        read_head(server).await?
    };
    let Some(reply) = reply else { return Ok(None) };
    let has_body = !head.first.starts_with("HEAD ") && !matches!(reply.status(), 204 | 304);
    let body = if has_body { read_body(server, &reply, true).await? } else { Vec::new() };
    Ok(Some((reply, body)))
}

/// Writes the answer as the fault wants it; false where the connection must be reset.
async fn give_back(
    client: &mut BufReader<TcpStream>,
    head: &Head,
    reply: Head,
    mut body: Vec<u8>,
    fault: Option<Fault>,
    plan: &Plan,
) -> io::Result<bool> {
    let reply = if head.first.starts_with("HEAD ") || matches!(reply.status(), 204 | 304) {
        reply
    } else {
        reply.without("transfer-encoding").with("Content-Length", body.len().to_string())
    };
    match fault {
        Some(Fault::ResetAfter) => Ok(false),
        Some(Fault::Truncated) => {
            client.write_all(&reply.bytes()).await?;
            client.write_all(body.get(..body.len() / 2).unwrap_or_default()).await?;
            client.flush().await?;
            Ok(false)
        }
        Some(Fault::Trickle(step, pause)) => {
            client.write_all(&reply.bytes()).await?;
            for part in body.chunks(step.max(1)) {
                client.write_all(part).await?;
                tokio::time::sleep(pause).await;
            }
            Ok(true)
        }
        other => {
            if matches!(other, Some(Fault::FlippedBit)) && !body.is_empty() {
                let place = plan.below(body.len());
                if let Some(byte) = body.get_mut(place) {
                    *byte ^= 1 << plan.below(8);
                }
            }
            client.write_all(&reply.bytes()).await?;
            client.write_all(&body).await?;
            Ok(true)
        }
    }
}

/// Ends a connection the hard way.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

fn classify(head: &Head) -> (Operation, String) {
    let mut words = head.first.split(' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    if let Some(name) = head.field("x-amz-target").and_then(|value| value.strip_prefix("AmazonSQS.")) {
        let operation = match name {
            "ReceiveMessage" => Operation::Receive,
            "DeleteMessage" | "DeleteMessageBatch" => Operation::Delete,
            "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => Operation::ChangeVisibility,
            _ => Operation::OtherQueue,
        };
        return (operation, name.to_owned());
    }
    if head.field("x-amz-target").is_some() {
        return (Operation::Other, target.to_owned());
    }
    let path = target.split('?').next().unwrap_or_default();
    let has_key = path.trim_matches('/').contains('/');
    let operation = match method {
        "GET" if target.contains("list-type=2") => Operation::List,
        "GET" if has_key => Operation::Get,
        "PUT" if has_key => Operation::Put,
        _ => Operation::OtherS3,
    };
    (operation, target.to_owned())
}

/// An error as S3 or SQS would word it.
fn answer(status: u16, code: &str, operation: Operation, is_head: bool) -> Vec<u8> {
    let is_queue = matches!(
        operation,
        Operation::Receive | Operation::Delete | Operation::ChangeVisibility | Operation::OtherQueue
    );
    let (kind, body) = if is_queue {
        let body = format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"made by the fault proxy"}}"#);
        ("application/x-amz-json-1.0", body)
    } else {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>made by the fault \
             proxy</Message><RequestId>0</RequestId></Error>"
        );
        ("application/xml", body)
    };
    let length = body.len();
    let body = if is_head { String::new() } else { body };
    // An hour off, where the clock is the fault.
    let date = if code == "RequestTimeTooSkewed" { "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n" } else { "" };
    format!("HTTP/1.1 {status} Fault\r\n{date}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Long enough that a lease of a few seconds runs out.
pub(crate) const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(4);
