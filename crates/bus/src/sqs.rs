//! Queue of SQS, by the JSON protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::error::{BusError, BusFault};
use crate::message::BusMessage;
use crate::queue::{MessageQueue, Received, Settled};

/// Service that requests are signed for.
const SERVICE: &str = "sqs";
/// Header with the operation.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// Content type of the protocol.
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// Longest wait for messages: what the service allows.
const WAIT_SECONDS: u64 = 20;
/// Time for a request, beyond the time for which the service is asked to wait.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// Time for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Most messages of a request: what the service allows.
const BATCH: usize = 10;
/// Ending of the name of a queue that keeps the order of messages.
const FIFO: &str = ".fifo";
/// Parts of codes that say that the queue does not exist.
const NO_QUEUE: [&str; 2] = ["QueueDoesNotExist", "NonExistentQueue"];
/// Parts of codes that say that the key or its rights are not enough.
const DENIED: [&str; 9] = [
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

/// Queue of SQS.
pub(crate) struct SqsQueue {
    name: String,
    /// Address of the service.
    endpoint: String,
    queue_url: String,
    region: String,
    variables: BTreeMap<String, String>,
    /// Time after which a message that was delivered is delivered again.
    visible_after: Duration,
    connected: OnceCell<Connected>,
    /// True if the queue moves messages away that are delivered too often.
    redrives: OnceCell<bool>,
}

/// Client of the service, with the source of its keys.
struct Connected {
    http: reqwest::Client,
    keys: AwsCredentialProvider,
}

impl fmt::Debug for SqsQueue {
    /// Leaves out the variables: some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SqsQueue {
    /// Returns the queue. `variables` has those of AWS.
    pub(crate) fn new(
        name: String,
        (host, queue): (&str, &str),
        variables: BTreeMap<String, String>,
        visible_after: Duration,
    ) -> Self {
        let named = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"];
        let named = named.iter().find_map(|name| variables.get(*name));
        let endpoint = named.cloned().unwrap_or_else(|| format!("https://{host}"));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let of_host = host.strip_prefix("sqs.").and_then(|rest| rest.split('.').next());
        let of_variable = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let of_variable = of_variable.iter().find_map(|name| variables.get(*name));
        let of_host = of_host.filter(|_| host.contains(".amazonaws.")).map(str::to_owned);
        let region = of_host.or_else(|| of_variable.cloned());
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        Self {
            name,
            queue_url: format!("{endpoint}/{queue}"),
            endpoint,
            region,
            variables,
            visible_after,
            connected: OnceCell::new(),
            redrives: OnceCell::new(),
        }
    }

    fn fail(&self, fault: BusFault, reason: &str) -> BusError {
        BusError::new(&self.name, fault, reason)
    }

    async fn connected(&self) -> Result<&Connected, BusError> {
        let connect = || async {
            // Fails if a provider is installed already, which is the same one.
            drop(rustls::crypto::ring::default_provider().install_default());
            let http = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_LIMIT)
                .timeout(ANSWERS_WITHIN + Duration::from_secs(WAIT_SECONDS))
                .build()
                .map_err(|error| self.fail(BusFault::Unreachable, &error.to_string()))?;
            // Keys are found as for S3: variables, a web identity, or the role of the machine.
            let mut builder = AmazonS3Builder::new();
            for (name, value) in &self.variables {
                if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let built = builder.with_bucket_name("unused").with_region(&self.region).build();
            let built = built.map_err(|error| self.fail(BusFault::Denied, &error.to_string()))?;
            Ok(Connected { http, keys: built.credentials().clone() })
        };
        self.connected.get_or_try_init(connect).await
    }

    /// Asks the service for an operation.
    async fn ask(&self, operation: &str, body: Value) -> Result<Value, BusError> {
        let unreachable = |reason: &str| self.fail(BusFault::Unreachable, reason);
        let Connected { http, keys } = self.connected().await?;
        let keys = keys.get_credential().await.map_err(|error| {
            let reason = format!("there is no key for it: {error}");
            self.fail(BusFault::Denied, &reason)
        })?;
        let body = body.to_string();
        let mut signed = HttpRequest::new(HttpRequestBody::empty());
        *signed.method_mut() = Method::POST;
        *signed.uri_mut() = format!("{}/", self.endpoint)
            .parse()
            .map_err(|_| self.fail(BusFault::AddressInvalid, "its endpoint is no address"))?;
        let target = HeaderValue::from_str(&format!("AmazonSQS.{operation}"));
        let target = target.map_err(|error| unreachable(&error.to_string()))?;
        signed.headers_mut().insert(CONTENT_TYPE, JSON);
        signed.headers_mut().insert(TARGET, target);
        AwsAuthorizer::new(&keys, SERVICE, &self.region)
            .try_authorize(&mut signed, Some(&Sha256::digest(&body)))
            .map_err(|error| self.fail(BusFault::Denied, &error.to_string()))?;
        let request = http
            .post(format!("{}/", self.endpoint))
            .headers(std::mem::take(signed.headers_mut()))
            .body(body);
        let answer = request.send().await.map_err(|error| {
            let reason = if error.is_timeout() {
                "it does not answer in time"
            } else {
                "it does not answer"
            };
            unreachable(reason)
        })?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(|_| unreachable("its answer broke off"))?;
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let code = word("__type");
        let said = [word("message"), word("Message")].concat();
        let reason = format!("{status}: {code}: {said}");
        let has = |parts: &[&str]| parts.iter().any(|&part| code.contains(part));
        let fault = if has(&NO_QUEUE) {
            BusFault::QueueMissing
        } else if has(&DENIED) || matches!(status.as_u16(), 401 | 403) {
            BusFault::Denied
        } else {
            BusFault::Unreachable
        };
        Err(self.fail(fault, &reason))
    }

    fn seconds(&self) -> u64 {
        self.visible_after.as_secs().max(1)
    }

    /// Asks for an operation on many deliveries, in the batches that the service takes.
    async fn batches(
        &self,
        operation: &str,
        receipts: &[&str],
        more: &Value,
    ) -> Result<(), BusError> {
        for batch in receipts.chunks(BATCH) {
            let entry = |(number, receipt): (usize, &&str)| {
                let mut entry = json!({ "Id": number.to_string(), "ReceiptHandle": receipt });
                if let (Value::Object(entry), Value::Object(more)) = (&mut entry, more) {
                    entry.extend(more.clone());
                }
                entry
            };
            let entries: Vec<Value> = batch.iter().enumerate().map(entry).collect();
            let asked = json!({ "QueueUrl": self.queue_url, "Entries": entries });
            // A delivery that is unknown was given to another consumer meanwhile.
            self.ask(operation, asked).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl MessageQueue for SqsQueue {
    async fn publish(&self, message: &BusMessage) -> Result<(), BusError> {
        let mut asked = json!({ "QueueUrl": self.queue_url, "MessageBody": message.to_text() });
        if self.queue_url.ends_with(FIFO) {
            asked["MessageGroupId"] = json!(message.task_id);
            asked["MessageDeduplicationId"] = json!(message.digest.hex());
        }
        self.ask("SendMessage", asked).await.map(drop)
    }

    async fn begin(&self) -> Result<Vec<Received>, BusError> {
        let asked = json!({ "QueueUrl": self.queue_url, "AttributeNames": ["RedrivePolicy"] });
        let found = self.ask("GetQueueAttributes", asked).await?;
        let policy = &found["Attributes"]["RedrivePolicy"];
        let redrives = policy.as_str().is_some_and(|policy| !policy.is_empty());
        // A second look changes nothing.
        drop(self.redrives.set(redrives));
        Ok(Vec::new())
    }

    async fn receive(&self, most: usize) -> Result<Vec<Received>, BusError> {
        let asked = json!({
            "QueueUrl": self.queue_url,
            "MaxNumberOfMessages": most.min(BATCH),
            "VisibilityTimeout": self.seconds(),
            "WaitTimeSeconds": self.seconds().min(WAIT_SECONDS),
        });
        let found = self.ask("ReceiveMessage", asked).await?;
        let messages = found["Messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let received = messages.iter().map(|message| {
            let body = text(&message["Body"]);
            let (receipt, message) = (text(&message["ReceiptHandle"]), BusMessage::parse(&body));
            Received { receipt, message, text: body }
        });
        Ok(received.collect())
    }

    async fn maintain(&self, _: usize) -> Result<Vec<Received>, BusError> {
        // The service itself delivers again what was not deleted.
        Ok(Vec::new())
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), BusError> {
        let receipts: Vec<&str> = receipts.iter().map(String::as_str).collect();
        let more = json!({ "VisibilityTimeout": self.seconds() });
        self.batches("ChangeMessageVisibilityBatch", &receipts, &more).await
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BusError> {
        let redrives = self.redrives.get().copied().unwrap_or_default();
        let done = |one: &'_ Settled| match one {
            Settled::Done { receipt } => Some(receipt.clone()),
            // The queue moves it to its dead letters, after the deliveries that it allows.
            Settled::Dead { .. } if redrives => None,
            Settled::Dead { receipt, .. } => Some(receipt.clone()),
        };
        let receipts: Vec<String> = settled.iter().filter_map(done).collect();
        let receipts: Vec<&str> = receipts.iter().map(String::as_str).collect();
        self.batches("DeleteMessageBatch", &receipts, &json!({})).await
    }
}
