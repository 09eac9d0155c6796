//! The harness itself: faults that did not happen would make every other test of the worker worthless.

use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;

use super::{
    announce::s3_message,
    corpus::{Corpus, Shape},
    emulator::{Emulator, client_config},
    proxy::{Fault, Operation, Plan, Proxy, Rule},
    wait::block_on,
};

/// A client that goes through the proxy and tries nothing twice.
fn client(proxy: &Proxy) -> aws_sdk_s3::Client {
    let config = block_on(client_config(&proxy.url()));
    let config =
        aws_sdk_s3::config::Builder::from(&config).force_path_style(true).retry_config(RetryConfig::disabled());
    aws_sdk_s3::Client::from_conf(config.build())
}

/// The bytes, or what went wrong in short.
fn get(client: &aws_sdk_s3::Client) -> Result<Vec<u8>, String> {
    block_on(async {
        let got = client.get_object().bucket("trail").key("a/b").send().await;
        let got = got.map_err(|error| error.code().unwrap_or("connection").to_owned())?;
        let body = got.body.collect().await.map_err(|_| "body".to_owned())?;
        Ok(body.into_bytes().to_vec())
    })
}

#[test]
fn every_fault_of_the_proxy_reaches_the_client_and_is_counted() {
    let emulator = Emulator::start();
    emulator.bucket("trail");
    let bytes = vec![7; 10_000];
    emulator.put("trail", "a/b", &bytes);
    let proxy = Proxy::before(&emulator, Plan::clean());
    let client = client(&proxy);
    assert_eq!(get(&client).as_ref(), Ok(&bytes));

    let cases = [
        (Fault::SLOW_DOWN, Err("SlowDown".to_owned())),
        (Fault::CLOCK_SKEW, Err("RequestTimeTooSkewed".to_owned())),
        (Fault::ResetBefore, Err("connection".to_owned())),
        (Fault::ResetAfter, Err("connection".to_owned())),
        (Fault::Truncated, Err("body".to_owned())),
        // The object was put with a checksum: the client finds the bit by itself.
        (Fault::FlippedBit, Err("body".to_owned())),
        (Fault::Trickle(5_000, Duration::from_millis(10)), Ok(bytes.clone())),
    ];
    for (fault, expected) in cases {
        proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, fault).matching("/trail/a").at_most(1)]));
        assert_eq!(get(&client), expected, "{fault:?}");
        assert_eq!(proxy.applied(), [1], "{fault:?}");
        assert_eq!(get(&client).as_ref(), Ok(&bytes), "the fault is over: {fault:?}");
    }
    proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, Fault::Latency(Duration::from_millis(300)))]));
    let started = Instant::now();
    assert_eq!(get(&client).as_ref(), Ok(&bytes));
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(proxy.asked(Operation::Get).len(), 16);

    // After a reset that came too late, the object is there all the same.
    proxy.set(Plan::new(1, vec![Rule::new(Operation::Put, Fault::ResetAfter).at_most(1)]));
    let put_works = || block_on(client.put_object().bucket("trail").key("a/c").body(vec![1].into()).send()).is_ok();
    assert!(!put_works());
    assert!(block_on(emulator.s3.head_object().bucket("trail").key("a/c").send()).is_ok());
    assert!(put_works());
}

#[test]
fn made_objects_are_different_and_their_notifications_arrive() {
    let corpus = Corpus::made(5, &Shape::objects(6));
    assert_eq!(corpus.rows().len(), 18);
    let emulator = Emulator::start();
    emulator.bucket("trail");
    let queue = emulator.queue("notifications", 3);
    emulator.announce("trail", &queue);
    emulator.put_all("trail", corpus.pairs());
    emulator.send(&queue, &s3_message("trail", "a b/ü", "0", 1));
    let bodies = emulator.take_bodies(&queue.url);
    assert_eq!(bodies.iter().filter(|body| body.contains("s3:TestEvent")).count(), 1);
    assert_eq!(bodies.iter().filter(|body| body.contains("AWSLogs/o-exampleorg")).count(), 6);
    assert!(bodies.iter().any(|body| body.contains("a+b/%C3%BC")));
    assert!(emulator.depth(&queue.url).is_empty());
}
