//! What can be told without a queue: codes, policies, seconds, batches.

use aws_sdk_sqs::types::BatchResultErrorEntry;

use super::{
    failure::{is_final, kind_of_failure},
    *,
};
use crate::aws::{Answer, Failure};

#[test]
fn codes_have_their_kind() {
    let kind = |status, code: &str| {
        let answer = Answer { status, code: code.to_owned(), message: "words".to_owned(), ..Answer::default() };
        kind_of_failure(&Failure::Answered(answer))
    };
    for code in ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "com.amazonaws.sqs#QueueDoesNotExist"]
    {
        assert!(matches!(kind(400, code), QueueErrorKind::Missing), "{code}");
    }
    for code in [
        "AccessDenied",
        "AccessDeniedException",
        "KMS.AccessDeniedException",
        "KmsDisabled",
        "KMS.NotFoundException",
        "InvalidClientTokenId",
        "AWS.SimpleQueueService.KmsOptInRequired",
    ] {
        assert!(matches!(kind(400, code), QueueErrorKind::Forbidden { code: told } if told == code), "{code}");
    }
    for code in ["RequestThrottled", "ThrottlingException", "KmsThrottled", "KMS.ThrottlingException"] {
        assert!(matches!(kind(400, code), QueueErrorKind::Throttled { .. }), "{code}");
    }
    for (status, code) in [(500, "InternalFailure"), (503, ""), (400, "RequestTimeout"), (403, "RequestTimeTooSkewed")]
    {
        assert!(matches!(kind(status, code), QueueErrorKind::Unavailable(_)), "{code}");
    }
    assert!(matches!(kind(403, "OverLimit"), QueueErrorKind::OverLimit));
    assert!(matches!(kind(429, ""), QueueErrorKind::Throttled { .. }));
    assert!(matches!(kind(403, ""), QueueErrorKind::Forbidden { code } if code == "status 403"));
    assert!(matches!(kind(400, "InvalidAddress"), QueueErrorKind::Refused { code, .. } if code == "InvalidAddress"));
    let kind = |failure: Failure| kind_of_failure(&failure);
    assert!(matches!(kind(Failure::Unreached("reset".to_owned())), QueueErrorKind::Unavailable(_)));
    assert!(matches!(kind(Failure::NoCredentials(String::new())), QueueErrorKind::Forbidden { .. }));
    assert!(matches!(kind(Failure::NotSent(String::new())), QueueErrorKind::Refused { .. }));
}

#[test]
fn a_batch_tells_of_every_entry() {
    let receipts: Vec<Receipt> = ["a", "b", "c", "d"].map(|text| Receipt(text.to_owned())).into();
    let entry = |id: &str, code: &str, sender_fault| {
        BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault).build().expect("an entry")
    };
    let refused = [entry("1", "ReceiptHandleIsInvalid", true), entry("2", "InternalError", false)];
    let told = failed(&receipts, &["0"], &refused);
    let told: Vec<(&str, &str, bool)> =
        told.iter().map(|failed| (failed.receipt.0.as_str(), failed.code.as_str(), failed.is_final)).collect();
    assert_eq!(
        told,
        [("b", "ReceiptHandleIsInvalid", true), ("c", "InternalError", false), ("d", "NotAnswered", false)]
    );
    assert!(!is_final("RequestThrottled", true) && !is_final("InvalidParameterValue", false));
    assert!(is_final("InvalidParameterValue", true));
}

#[test]
fn redrive_policies() {
    let expected = Redrive {
        max_receive_count: Some(5),
        dead_letter_queue: Some("arn:aws:sqs:x:1:dlq".to_owned()),
        retention: None,
    };
    for count in ["5", "\"5\""] {
        let policy = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:x:1:dlq","maxReceiveCount":{count}}}"#);
        assert_eq!(read_redrive(&policy).as_ref(), Some(&expected));
    }
    for broken in ["", "[]", "{}", r#"{"deadLetterTargetArn":"x","maxReceiveCount":-1}"#, r#"{"maxReceiveCount":5}"#] {
        assert_eq!(read_redrive(broken), None, "{broken}");
    }
}

#[test]
fn seconds_are_whole_and_capped() {
    for (millis, expected) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (19_500, 20), (60_000, 20)] {
        assert_eq!(seconds(Duration::from_millis(millis), LONGEST_WAIT), expected, "{millis}");
    }
    assert_eq!(seconds(Duration::MAX, LONGEST_LEASE), 43_200);
}

#[test]
fn messages_as_sqs_writes_them() {
    let sdk = aws_sdk_sqs::types::Message::builder()
        .message_id("m")
        .receipt_handle("r")
        .body("b")
        .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
        .attributes(MessageSystemAttributeName::SentTimestamp, "1545082649183");
    let read = message(sdk.clone().build()).expect("a message");
    assert_eq!((read.receive_count, read.sent_at), (3, Some(1_545_082_649_183_000)));
    assert!(!format!("{read:?}").contains("\"r\""));
    let bare = sdk.set_attributes(None).set_body(None).build();
    let read = message(bare).expect("a message");
    assert_eq!((read.body.as_str(), read.receive_count, read.sent_at), ("", 1, None));
    assert_eq!(message(aws_sdk_sqs::types::Message::builder().message_id("m").build()), None);
}

#[test]
fn a_body_beyond_the_limit_is_cut_and_still_refused() {
    let long = "é".repeat(MAX_BODY_BYTES);
    let cut = bounded(long);
    assert!(cut.len() <= MAX_BODY_BYTES + 2);
    let notice = crate::notification::read(&cut);
    assert!(notice.faults[0].contains("at most"), "{notice:?}");
    assert_eq!(bounded("short".to_owned()), "short");
}
