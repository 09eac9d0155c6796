//! An HTTP server on loopback that keeps every request, answers as it is told, and can misbehave.
//!
//! A request counts as received once its whole body was read, whatever became of the answer: that is what a receiver acts on.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    http::{Head, read_body, read_head},
    wait::{block_on, runtime},
};

/// What the server does with one request, after it has read all of it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Status(u16, &'static str),
    /// The connection is reset, nothing is answered.
    Reset,
    /// Nothing is answered, and the connection stays open.
    Silent,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// It was answered with 200 or 202.
    pub(super) taken: bool,
}

impl Request {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.head.field(name).unwrap_or_else(|| panic!("no header {name}: {:?}", self.head))
    }

    pub(super) fn id(&self) -> &str {
        self.field("keytrail-delivery")
    }

    pub(super) fn change(&self) -> &str {
        self.field("keytrail-change")
    }

    /// The alerts that the body tells of, in its order.
    pub(super) fn alerts(&self) -> Vec<String> {
        let body = self.json();
        let alerts = body["alerts"].as_array().expect("alerts");
        alerts.iter().map(|alert| alert["alert_id"].as_str().expect("an id").to_owned()).collect()
    }
}

#[derive(Default)]
struct Kept {
    requests: Mutex<Vec<Request>>,
    faults: Mutex<VecDeque<Fault>>,
    /// Milliseconds before each answer.
    slowness: AtomicU64,
}

pub(super) struct Receiver {
    address: String,
    kept: Arc<Kept>,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback");
        let address = listener.local_addr().expect("an address").to_string();
        let kept = Arc::new(Kept::default());
        let serving = Arc::clone(&kept);
        runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&serving);
                // A client that was killed leaves half a request; it was not received then.
                tokio::spawn(async move { drop(serve(stream, &kept).await) });
            }
        });
        Self { address, kept }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next requests meet these faults, one each; those after them are answered with 200.
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.kept.faults.lock().expect("no panic").extend(faults);
    }

    pub(super) fn slow(&self, each: Duration) {
        self.kept.slowness.store(u64::try_from(each.as_millis()).expect("short"), Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.kept.requests.lock().expect("no panic").clone()
    }

    pub(super) fn count(&self) -> usize {
        self.kept.requests.lock().expect("no panic").len()
    }
}

async fn serve(stream: TcpStream, kept: &Kept) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream).await? {
        let body = read_body(&mut stream, &head, false).await?;
        let fault = kept.faults.lock().expect("no panic").pop_front();
        let taken = fault.is_none();
        kept.requests.lock().expect("no panic").push(Request { head, body, taken });
        tokio::time::sleep(Duration::from_millis(kept.slowness.load(Ordering::Relaxed))).await;
        let (status, more) = match fault {
            None => (200, ""),
            Some(Fault::Status(status, more)) => (status, more),
            Some(Fault::Reset) => {
                // No linger: what is closed with data unread or unsent is reset.
                stream.get_ref().set_zero_linger()?;
                return Ok(());
            }
            Some(Fault::Silent) => {
                std::future::pending::<()>().await;
                return Ok(());
            }
        };
        let answer = format!("HTTP/1.1 {status} As Told\r\n{more}Content-Length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
