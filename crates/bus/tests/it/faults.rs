//! Buses that cannot be used: each fault has its code.

use std::collections::BTreeMap;
use std::path::Path;

use errand_api::error_code::ErrorCode;
use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{BusConsumer, BusCredentials, BusLocation, BusSender, ConsumerName, TaskOrder};
use errand_testkit::redis::RedisServer;

use crate::dispatcher::key;

/// Returns the codes of a sender's and of a consumer's error.
async fn codes(url: &str, (user, password): (&str, &str)) -> [Option<ErrorCode>; 2] {
    let location = BusLocation::parse(url).unwrap();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let credentials = BusCredentials {
        user: given(user),
        password: given(password),
        ..BusCredentials::default()
    };
    let task = serde_json::json!({ "task_id": "t", "agent_image": "i" });
    let task = serde_json::from_value(task).unwrap();
    let order = TaskOrder { api_key: key().reveal(), brief: None, task }.seal(1).unwrap();
    let sent = BusSender::new(&location, credentials.clone()).send(&order.message).await;
    let place =
        PlacedOrders::new(BlobAddress::parse("/tmp", Path::new("/")).unwrap(), &BTreeMap::new());
    let name = ConsumerName("one".to_owned());
    let checked = BusConsumer::new(&location, credentials, name, place).check().await;
    for error in [sent.as_ref().err(), checked.as_ref().err()].into_iter().flatten() {
        let said = error.to_string();
        assert!(!said.contains("secret-word") && !said.contains("wrong-word"), "{said}");
    }
    [sent.err().map(|error| error.code()), checked.err().map(|error| error.code())]
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let found = codes("redis://127.0.0.1:9", ("", "")).await;
    assert_eq!(found, [Some(ErrorCode::BusUnreachable); 2]);
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_refused() {
    let Some(redis) = RedisServer::with(&["--requirepass", "secret-word"]) else { return };
    let denied = [Some(ErrorCode::BusAccessDenied); 2];
    assert_eq!(codes(&redis.url(), ("", "")).await, denied);
    assert_eq!(codes(&redis.url(), ("", "wrong-word")).await, denied);
    assert_eq!(codes(&redis.url(), ("", "secret-word")).await, [None, None]);
    let within = redis.url().replace("redis://", "redis://:secret-word@");
    assert_eq!(codes(&within, ("", "")).await, [None, None]);
}

#[tokio::test]
async fn a_user_who_may_only_append_is_no_consumer() {
    let Some(redis) = RedisServer::start() else { return };
    let rights = ["ACL", "SETUSER", "me", "on", ">secret-word", "~errand:*", "+xadd", "+client"];
    let _made = redis.ask(&rights);
    let found = codes(&redis.url(), ("me", "secret-word")).await;
    assert_eq!(found, [None, Some(ErrorCode::BusAccessDenied)]);
}

#[tokio::test]
async fn a_key_of_another_type_is_no_queue() {
    let Some(redis) = RedisServer::start() else { return };
    let _set = redis.ask(&["SET", "errand:tasks", "a text"]);
    let found = codes(&redis.url(), ("", "")).await;
    assert_eq!(found, [Some(ErrorCode::BusQueueMissing); 2]);
}
