//! The suite on a queue of SQS, and what only SQS has.

use std::collections::BTreeMap;
use std::path::Path;

use errand_api::error_code::ErrorCode;
use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{BusConsumer, BusCredentials, BusLocation, ConsumerName};
use errand_testkit::HttpRequest;
use errand_testkit::s3::S3Server;
use serde_json::{Value, json};

use crate::conformance::{self, Bus, World, until};

/// Signature for a service that checks none.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test-key-id/20260101/us-east-1/sqs/aws4_request, \
     SignedHeaders=host, Signature=0";

/// A service with a queue.
struct Sqs {
    server: S3Server,
}

impl Sqs {
    fn start() -> Option<Self> {
        let sqs = Self { server: S3Server::start()? };
        sqs.make("tasks", &json!({}));
        Some(sqs)
    }

    fn make(&self, name: &str, attributes: &Value) {
        let _made =
            self.ask("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes }));
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/123456789012/{name}", self.server.address())
    }

    fn ask(&self, operation: &str, body: &Value) -> Value {
        let request = HttpRequest::post("/", body.to_string())
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", &format!("AmazonSQS.{operation}"))
            .header("Authorization", SIGNED);
        let answer = request.send(&self.server.address().to_string());
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Returns the number of messages in a queue, those that are being worked on included.
    fn count(&self, name: &str) -> u64 {
        let wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let asked = json!({ "QueueUrl": self.url(name), "AttributeNames": wanted });
        let found = self.ask("GetQueueAttributes", &asked)["Attributes"].clone();
        let number = |name: &str| found[name].as_str().unwrap().parse::<u64>().unwrap();
        wanted.into_iter().map(number).sum()
    }

    fn at(name: &str) -> BusLocation {
        BusLocation::parse(&format!("sqs://sqs.local/123456789012/{name}")).unwrap()
    }
}

impl Bus for Sqs {
    fn location(&self) -> BusLocation {
        Self::at("tasks")
    }

    fn credentials(&self) -> BusCredentials {
        let variables = self.server.variables().into_iter();
        let aws = variables.map(|(name, value)| (name.to_owned(), value)).collect();
        BusCredentials { aws, ..BusCredentials::default() }
    }

    fn waiting(&self) -> u64 {
        self.count("tasks")
    }

    fn lose(&mut self) {
        let _gone = self.ask("DeleteQueue", &json!({ "QueueUrl": self.url("tasks") }));
        self.make("tasks", &json!({}));
    }

    fn restart(&mut self) {
        // For a while, there is no queue.
        self.lose();
    }
}

#[tokio::test]
async fn a_task_is_carried_out_once_wherever_its_consumer_dies() {
    let Some(sqs) = Sqs::start() else { return };
    conformance::a_task_is_carried_out_once_wherever_its_consumer_dies(sqs).await;
}

#[tokio::test]
async fn messages_that_come_twice_or_late_change_nothing() {
    let Some(sqs) = Sqs::start() else { return };
    conformance::messages_that_come_twice_or_late_change_nothing(sqs).await;
}

#[tokio::test]
async fn a_lost_message_is_carried_out_when_it_is_sent_again() {
    let Some(sqs) = Sqs::start() else { return };
    conformance::a_lost_message_is_carried_out_when_it_is_sent_again(sqs).await;
}

#[tokio::test]
async fn a_consumer_that_ends_leaves_the_rest_to_the_next_one() {
    let Some(sqs) = Sqs::start() else { return };
    conformance::a_consumer_that_ends_leaves_the_rest_to_the_next_one(sqs).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_opened_is_moved_by_the_queue_or_removed() {
    let Some(sqs) = Sqs::start() else { return };
    let world = World::new(sqs);
    let mut message = world.order("t", 1).await;
    message.order = 2;
    world.send(&message).await;
    let running = world.consumer("one");
    until("it is removed", async || world.bus.waiting() == 0).await;
    running.end().await;

    world.bus.make("dead", &json!({}));
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":1}"#;
    let asked = json!({
        "QueueUrl": world.bus.url("tasks"), "Attributes": { "RedrivePolicy": policy },
    });
    let _set = world.bus.ask("SetQueueAttributes", &asked);
    let running = world.consumer("one");
    world.send(&message).await;
    until("it is among the dead letters", async || world.bus.count("dead") == 1).await;
    running.end().await;
}

async fn code(location: &BusLocation, credentials: BusCredentials) -> Option<ErrorCode> {
    let place = BlobAddress::parse("/tmp", Path::new("/")).unwrap();
    let orders = PlacedOrders::new(place, &BTreeMap::new());
    let name = ConsumerName("one".to_owned());
    let checked = BusConsumer::new(location, credentials, name, orders).check().await;
    checked.err().map(|error| error.code())
}

#[tokio::test]
async fn a_queue_that_is_missing_a_refused_key_and_a_silent_service_have_codes_of_their_own() {
    let Some(sqs) = Sqs::start() else { return };
    assert_eq!(code(&sqs.location(), sqs.credentials()).await, None);
    let gone = code(&Sqs::at("gone"), sqs.credentials()).await;
    assert_eq!(gone, Some(ErrorCode::BusQueueMissing));
    let mut silent = sqs.credentials();
    silent.aws.insert("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:9".to_owned());
    assert_eq!(code(&sqs.location(), silent).await, Some(ErrorCode::BusUnreachable));
    let Some(server) = S3Server::refusing_keys() else { return };
    let refusing = Sqs { server };
    let refused = code(&refusing.location(), refusing.credentials()).await;
    assert_eq!(refused, Some(ErrorCode::BusAccessDenied));
}
