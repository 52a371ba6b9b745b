//! Suite that every way of tasks to a dispatcher passes: requests over HTTP, a stream of Redis, a queue of SQS.
//!
//! Sender, dispatcher, bus and containers are real. Each of them dies, is cut off or repeats itself, and each
//! task is carried out once.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use errand_testkit::podman::Podman;
use errand_testkit::redis::RedisServer;
use errand_testkit::s3::S3Server;
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Sandbox, wait_until};
use serde_json::{Value, json};

use crate::dispatched::{agent, apply};
use crate::support::{all, event_types, kill, record, sandbox};
use crate::twice_relay::TwiceRelay;

/// Time limit of a dispatcher: longer than any test.
const LIFETIME: std::time::Duration = std::time::Duration::from_mins(10);
/// Agent that ends when its workspace has a file.
const WAITING: &str = "echo up; until [ -e go ]; do sleep 0.05; done; echo once";
/// Time for a dispatcher to answer, and pauses between tries.
const PATIENT: &str = "  retry_policy: { max_retries: 0, dispatch: { max_retries: 100, \
     initial_delay: 50ms, max_delay: 200ms, timeout: 1s } }\n";
/// Queue of SQS.
const QUEUE: &str = "sqs://sqs.local/123456789012/tasks";
/// Signature for a service that checks none.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test-key-id/20260101/us-east-1/sqs/aws4_request, \
     SignedHeaders=host, Signature=0";

/// Service with a queue of SQS.
struct Sqs(S3Server);

impl Sqs {
    fn start() -> Option<Self> {
        let sqs = Self(S3Server::start()?);
        sqs.make();
        Some(sqs)
    }

    fn make(&self) {
        let _made = self.ask("CreateQueue", &json!({ "QueueName": "tasks" }));
    }

    fn ask(&self, operation: &str, body: &Value) -> Value {
        let request = HttpRequest::post("/", body.to_string())
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", &format!("AmazonSQS.{operation}"))
            .header("Authorization", SIGNED);
        let answer = request.send(&self.0.address().to_string());
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://{}/123456789012/tasks", self.0.address())
    }
}

/// Way of tasks from a sender to a dispatcher.
enum Way {
    Direct,
    Redis(RedisServer),
    Sqs(Sqs),
}

impl Way {
    /// Returns the address of the bus, if the way has one.
    fn bus(&self) -> Option<String> {
        match self {
            Self::Direct => None,
            Self::Redis(redis) => Some(redis.url()),
            Self::Sqs(_) => Some(QUEUE.to_owned()),
        }
    }

    /// Returns what the definition of the dispatcher says about the way.
    fn definition(&self) -> String {
        let bus = match self {
            Self::Direct => return ", key: EDGE_KEY".to_owned(),
            Self::Redis(redis) => format!("redis: '{}'", redis.url()),
            Self::Sqs(_) => format!("sqs: '{QUEUE}'"),
        };
        format!(", mode: bus, key: EDGE_KEY, bus: {{ {bus} }}")
    }

    /// Ends the bus, and starts it again without what it had.
    fn restart(&mut self) {
        match self {
            Self::Direct => {}
            Self::Redis(redis) => {
                redis.kill();
                redis.start_again();
            }
            Self::Sqs(sqs) => {
                let _gone = sqs.ask("DeleteQueue", &json!({ "QueueUrl": sqs.url() }));
                sqs.make();
            }
        }
    }

    /// Returns the messages that wait at the bus, and leaves them there.
    fn messages(&self) -> Vec<String> {
        match self {
            Self::Direct => Vec::new(),
            Self::Redis(redis) => {
                let entries = redis.ask(&["XRANGE", "errand:tasks", "-", "+"]);
                let texts = entries.texts().into_iter().filter(|text| text.starts_with('{'));
                texts.map(str::to_owned).collect()
            }
            Self::Sqs(sqs) => {
                let asked = json!({
                    "QueueUrl": sqs.url(), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0,
                });
                let found = sqs.ask("ReceiveMessage", &asked)["Messages"].clone();
                let found = found.as_array().cloned().unwrap_or_default();
                found.iter().map(|it| it["Body"].as_str().unwrap().to_owned()).collect()
            }
        }
    }

    /// Sends a message again.
    fn repeat(&self, message: &str) {
        match self {
            Self::Direct => {}
            Self::Redis(redis) => {
                let _id = redis.ask(&["XADD", "errand:tasks", "*", "m", message]);
            }
            Self::Sqs(sqs) => {
                let asked = json!({ "QueueUrl": sqs.url(), "MessageBody": message });
                let _sent = sqs.ask("SendMessage", &asked);
            }
        }
    }
}

/// Sender, way, and a dispatcher that a test starts and kills.
struct World {
    way: Way,
    sender: Sandbox,
    dispatcher: Sandbox,
    /// Place for orders, which both have.
    place: tempfile::TempDir,
    server: Option<ErrandServer>,
    address: String,
    image: String,
    /// Engine that lives for as long as a test says that it uses it.
    _podman: Podman,
}

impl World {
    /// Prepares everything but the dispatcher; `None` on a machine that cannot have it.
    fn prepare(way: Option<Way>) -> Option<Self> {
        let way = way?;
        let podman = Podman::shared()?;
        let (mut sender, mut dispatcher) = (sandbox(), sandbox());
        dispatcher.set_env("DOCKER_HOST", podman.address());
        let words = ["keys", "create", "--json", "--name", "gateway"];
        let made = dispatcher
            .errand(words)
            .args(["--scope", "runs:read,runs:write,approvals:decide"])
            .run()
            .ok();
        let key = made.json()["key"].as_str().unwrap().to_owned();
        sender.set_env("EDGE_KEY", &key);
        let place = tempfile::tempdir().unwrap();
        sender.set_env("ERRAND_BLOBS", place.path());
        if let Way::Sqs(sqs) = &way {
            for (name, value) in sqs.0.variables() {
                sender.set_env(name, &value);
                dispatcher.set_env(name, &value);
            }
        }
        let image = podman.script_image();
        // Free until the dispatcher listens on it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let world =
            Self { way, sender, dispatcher, place, server: None, address, image, _podman: podman };
        world.apply(&format!("http://{}", world.address));
        Some(world)
    }

    /// Starts the dispatcher, at the same address each time.
    fn serve(&mut self) {
        let mut words = vec!["dispatcher".to_owned(), "--listen".to_owned(), self.address.clone()];
        words.extend(self.way.bus().into_iter().flat_map(|bus| ["--bus".to_owned(), bus]));
        let command = self.dispatcher.errand(words).arg("--blobs").arg(self.place.path());
        let server = ErrandServer::of(command.limit(LIFETIME).spawn());
        self.server = Some(server);
    }

    fn kill_dispatcher(&mut self) {
        let server = self.server.take().unwrap();
        server.process().kill();
        let _killed = server.into_process().wait();
    }

    fn apply(&self, url: &str) {
        apply(&self.sender, "edge", url, &self.way.definition());
    }

    fn agent(&self, script: &str) -> PathBuf {
        agent(&self.sender, &self.image, script, PATIENT)
    }

    fn run(&self, agent: &PathBuf) -> String {
        let said = self.sender.errand(["run", "-d"]).arg(agent).run().ok().stdout();
        said.trim().to_owned()
    }

    fn kill_sender(&self, run_id: &str) {
        kill(&record(&self.sender, run_id)["pid"]);
    }

    /// Waits until the agent of a run has begun.
    fn is_up(&self, run_id: &str) {
        wait_until("the agent is up", LIMIT, || {
            self.sender.errand(["logs", run_id]).run().ok().stdout().contains("up")
        });
    }

    /// Lets the agent of the only live task end.
    fn let_go(&self) {
        let mut workspace = None;
        wait_until("the task lives", LIMIT, || {
            let tasks: Value = self.dispatcher.errand(["ps", "--json"]).run().ok().json();
            let path = tasks[0]["attempts"][0]["workspace"]["path"].as_str().map(PathBuf::from);
            workspace = path.filter(|path| path.is_dir());
            workspace.is_some()
        });
        std::fs::write(workspace.unwrap().join("go"), "").unwrap();
    }

    /// Waits for the end of a run, which completed with what its agent printed.
    fn completes(&self, run_id: &str) {
        wait_until("the run is over", LIMIT * 2, || {
            let record = record(&self.sender, run_id);
            let status = record["status"].as_str().unwrap().to_owned();
            assert!(!["failed", "cancelled"].contains(&status.as_str()), "{record}");
            status == "completed"
        });
        let record = record(&self.sender, run_id);
        assert_eq!(record["output"], "up\nonce\n", "{record}");
        let _sound = self.sender.errand(["verify", run_id]).run().ok();
    }

    /// Checks that each run was carried out by one task, and that others of it, if any, were cancelled.
    fn carried_out_once(&self, run_ids: &[String]) {
        let tasks = all(&self.dispatcher);
        let completed = tasks.iter().filter(|task| task["status"] == "completed").count();
        assert_eq!(completed, run_ids.len(), "{tasks:?}");
        assert!(tasks.iter().all(|it| it["status"] == "completed" || it["status"] == "cancelled"));
        for task in &tasks {
            assert!(task["attempts"].as_array().unwrap().len() <= 1, "{task}");
        }
        assert_eq!(self.sender.errand(["ps", "--json"]).run().ok().json(), json!([]));
    }
}

/// Kills the sender, the dispatcher, and what is between them, at every moment of a task's life.
fn a_task_is_carried_out_once_whoever_dies(way: Option<Way>) {
    let Some(mut it) = World::prepare(way) else { return };
    let waiting = it.agent(WAITING);
    let mut run_ids = Vec::new();

    run_ids.push(it.run(&it.agent("echo up; echo once")));
    let is_begun = |it: &World, run_id: &str| {
        event_types(&it.sender, run_id).contains(&"attempt.started".to_owned())
    };
    wait_until("the sender begins", LIMIT, || is_begun(&it, &run_ids[0]));
    it.serve();
    it.completes(&run_ids[0]);

    run_ids.push(it.run(&waiting));
    it.kill_sender(&run_ids[1]);
    it.is_up(&run_ids[1]);
    it.kill_sender(&run_ids[1]);
    it.kill_dispatcher();
    it.serve();
    it.way.restart();
    it.let_go();
    it.completes(&run_ids[1]);

    // The task is over before its sender learns it.
    run_ids.push(it.run(&waiting));
    it.is_up(&run_ids[2]);
    let pid = record(&it.sender, &run_ids[2])["pid"].to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    it.let_go();
    wait_until("the task is over", LIMIT, || {
        all(&it.dispatcher).iter().all(|task| task["status"] != "running")
    });
    it.kill_dispatcher();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    it.serve();
    it.completes(&run_ids[2]);
    it.carried_out_once(&run_ids);
}

/// Sends tasks twice: before they are taken, while they run, and after their end.
fn a_task_that_comes_twice_is_carried_out_once(way: Option<Way>) {
    let Some(mut it) = World::prepare(way) else { return };
    // The answers to requests are lost, so that senders repeat them.
    let relay = TwiceRelay::start(&it.address);
    it.apply(&format!("http://{}", relay.address()));
    let waiting = it.agent(WAITING);
    let run_id = it.run(&waiting);
    let mut messages = Vec::new();
    if it.way.bus().is_some() {
        wait_until("the message is at the bus", LIMIT, || {
            messages = it.way.messages();
            !messages.is_empty()
        });
    }
    let repeat = |it: &World| messages.iter().for_each(|message| it.way.repeat(message));
    repeat(&it);
    it.serve();
    it.is_up(&run_id);
    repeat(&it);
    it.let_go();
    it.completes(&run_id);
    repeat(&it);
    let next = it.run(&it.agent("echo up; echo once"));
    it.completes(&next);
    it.carried_out_once(&[run_id, next]);
    if it.way.bus().is_none() {
        assert_eq!(relay.repeated(), 2, "each order was sent twice");
    }
}

/// Loses what is between sender and dispatcher before the dispatcher has it.
fn a_task_that_is_lost_on_the_way_is_sent_again(way: Option<Way>) {
    let Some(mut it) = World::prepare(way) else { return };
    let run_id = it.run(&it.agent("echo up; echo once"));
    if it.way.bus().is_some() {
        wait_until("the message is at the bus", LIMIT, || !it.way.messages().is_empty());
    }
    it.way.restart();
    it.serve();
    it.completes(&run_id);
    it.carried_out_once(&[run_id]);
}

/// Makes the tests of a way.
macro_rules! conformance {
    ($module:ident, $way:expr) => {
        mod $module {
            use super::Way;

            #[test]
            fn a_task_is_carried_out_once_whoever_dies() {
                super::a_task_is_carried_out_once_whoever_dies($way);
            }

            #[test]
            fn a_task_that_comes_twice_is_carried_out_once() {
                super::a_task_that_comes_twice_is_carried_out_once($way);
            }

            #[test]
            fn a_task_that_is_lost_on_the_way_is_sent_again() {
                super::a_task_that_is_lost_on_the_way_is_sent_again($way);
            }
        }
    };
}

conformance!(direct, Some(Way::Direct));
conformance!(redis, super::RedisServer::start().map(Way::Redis));
conformance!(sqs, super::Sqs::start().map(Way::Sqs));
