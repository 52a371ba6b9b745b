//! Runs that go to a dispatcher by a bus: a sender, Redis, `errand dispatcher` as a process, and real
//! containers.

use std::fs;
use std::path::{Path, PathBuf};

use errand_testkit::podman::Podman;
use errand_testkit::redis::RedisServer;
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, Sandbox, wait_until};
use serde_json::Value;

use crate::dispatched::{agent, apply, codes};
use crate::support::{record, sandbox};

/// Time limit of a dispatcher: longer than any test.
const LIFETIME: std::time::Duration = std::time::Duration::from_mins(10);

/// A sender, a bus, and a dispatcher that is started when a test wants it.
struct World {
    sender: Sandbox,
    dispatcher: Sandbox,
    redis: RedisServer,
    /// Place for orders, which both have.
    place: tempfile::TempDir,
    key: String,
    image: String,
    /// Engine that lives for as long as a test says that it uses it.
    _podman: Podman,
}

impl World {
    /// Prepares everything but the dispatcher; `None` on a machine that cannot have it.
    fn prepare() -> Option<Self> {
        let podman = Podman::shared()?;
        let redis = RedisServer::start()?;
        let (mut sender, mut dispatcher) = (sandbox(), sandbox());
        dispatcher.set_env("DOCKER_HOST", podman.address());
        let words = ["keys", "create", "--json", "--name", "gateway"];
        let made = dispatcher.errand(words).args(["--scope", "runs:read,runs:write"]).run().ok();
        let key = made.json()["key"].as_str().unwrap().to_owned();
        sender.set_env("EDGE_KEY", &key);
        let place = tempfile::tempdir().unwrap();
        sender.set_env("ERRAND_BLOBS", place.path());
        let image = podman.script_image();
        Some(Self { sender, dispatcher, redis, place, key, image, _podman: podman })
    }

    /// Starts the dispatcher, and tells the sender its address.
    fn serve(&self) -> ErrandServer {
        self.serve_at("127.0.0.1:0")
    }

    fn serve_at(&self, address: &str) -> ErrandServer {
        let words = ["dispatcher", "--listen", address, "--bus", &self.redis.url(), "--blobs"];
        let command = self.dispatcher.errand(words).arg(self.place.path());
        let server = ErrandServer::of(command.limit(LIFETIME).spawn());
        self.apply(&server.url());
        server
    }

    fn apply(&self, url: &str) {
        let more = format!(", mode: bus, key: EDGE_KEY, bus: {{ redis: '{}' }}", self.redis.url());
        apply(&self.sender, "edge", url, &more);
    }

    fn agent(&self, script: &str, more: &str) -> PathBuf {
        agent(&self.sender, &self.image, script, more)
    }

    fn run(&self, agent: &Path) -> String {
        let said = self.sender.errand(["run", "-d"]).arg(agent).run().ok().stdout();
        said.trim().to_owned()
    }

    fn wait(&self, run_id: &str, status: &str) -> Value {
        wait_until(&format!("the run is {status}"), LIMIT * 2, || {
            let record = record(&self.sender, run_id);
            let found = record["status"].as_str().unwrap_or_default().to_owned();
            let is_over = ["completed", "failed", "cancelled"].contains(&found.as_str());
            assert!(!is_over || found == status, "{record}");
            found == status
        });
        record(&self.sender, run_id)
    }

    fn get(&self, server: &ErrandServer, path: &str) -> Response {
        server.send(&HttpRequest::new("GET", path).header("Authorization", &self.bearer()))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    /// Returns the states of the dispatcher's tasks.
    fn tasks(&self, server: &ErrandServer) -> Vec<String> {
        let tasks = self.get(server, "/tasks").json()["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the orders in the place.
    fn orders(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.place.path().join("orders")).into_iter().flatten().flatten();
        let paths = found.map(|entry| entry.path());
        paths.filter(|path| !path.ends_with("clock")).collect()
    }

    /// Returns true if the dispatcher has read and acknowledged all messages.
    fn is_idle(&self) -> bool {
        let groups = self.redis.ask(&["XINFO", "GROUPS", "errand:tasks"]);
        let texts = groups.texts();
        let is_zero = |name: &str| {
            let at = texts.iter().position(|&text| text == name);
            at.is_some_and(|at| texts.get(at + 1) == Some(&"0"))
        };
        is_zero("pending") && is_zero("lag")
    }
}

#[test]
fn a_run_by_a_bus_has_brief_secrets_log_and_output_and_none_of_it_is_readable_on_the_way() {
    let Some(mut it) = World::prepare() else { return };
    it.sender.set_env("TOKEN", "a-secret-value");
    // Nobody answers here yet: the bus keeps the task.
    it.apply("http://127.0.0.1:9");
    let script = "echo got $(cat) and $TOKEN; errand agent brief | grep -o 'PR 4[2]'";
    let agent = it.agent(script, "  secrets: [TOKEN]\n");
    let words = ["run", "-d", "--job", "given", "--context", "PR 42"];
    let run_id = it.sender.errand(words).arg(&agent).run().ok().stdout().trim().to_owned();
    wait_until("the message is at the bus", LIMIT, || {
        it.redis.number(&["XLEN", "errand:tasks"]) == 1
    });
    let messages = format!("{:?}", it.redis.ask(&["XRANGE", "errand:tasks", "-", "+"]));
    assert!(messages.contains(&format!("{run_id}.1")), "{messages}");
    let order = fs::read(&it.orders()[0]).unwrap();
    let order = String::from_utf8_lossy(&order);
    for secret in ["a-secret-value", &it.key, "PR 42", &it.image] {
        assert!(!messages.contains(secret) && !order.contains(secret), "{secret}");
    }
    let _stopped = it.sender.errand(["stop", "--now", &run_id]).run();
}

#[test]
fn a_task_waits_at_the_bus_for_its_dispatcher_and_is_carried_out_once() {
    let Some(it) = World::prepare() else { return };
    let server = it.serve();
    let address = server.address().to_owned();
    let run_id = it.run(&it.agent("echo first", ""));
    it.wait(&run_id, "completed");
    server.process().kill();
    let _killed = server.into_process().wait();

    let run_id = it.run(&it.agent("echo waited", ""));
    wait_until("the message is at the bus", LIMIT, || it.orders().len() == 1);
    let server = it.serve_at(&address);
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["output"], "waited\n");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
    assert_eq!(it.tasks(&server), ["COMPLETED", "COMPLETED"]);
    wait_until("all messages are acknowledged", LIMIT, || it.is_idle());
    assert_eq!(it.orders(), Vec::<PathBuf>::new());
    let _sound = it.sender.errand(["verify", &run_id]).run().ok();
}

#[test]
fn a_refused_order_fails_its_run_and_one_that_was_not_taken_is_withdrawn() {
    let Some(mut it) = World::prepare() else { return };
    let server = it.serve();
    let words = ["keys", "create", "--json", "--name", "reader", "--scope", "runs:read"];
    let reader = it.dispatcher.errand(words).run().ok();
    let sound = it.key.clone();
    it.sender.set_env("EDGE_KEY", reader.json()["key"].as_str().unwrap());
    let run_id = it.run(&it.agent("true", ""));
    let failed = it.wait(&run_id, "failed");
    assert_eq!(failed["last_error"]["code"], "scope_missing", "{failed}");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1, "{failed}");
    it.sender.set_env("EDGE_KEY", sound);
    it.wait(&it.run(&it.agent("true", "")), "completed");

    // No consumer reads this stream, so the order waits.
    let more = format!(
        ", mode: bus, key: EDGE_KEY, bus: {{ redis: '{}', stream: 'not:read' }}",
        it.redis.url()
    );
    apply(&it.sender, "edge", &server.url(), &more);
    let run_id = it.run(&it.agent("echo never", ""));
    wait_until("the order waits", LIMIT, || it.redis.number(&["XLEN", "not:read"]) == 1);
    let _stopped = it.sender.errand(["stop", &run_id]).run().ok();
    it.wait(&run_id, "cancelled");
    let path = format!("/tasks/{run_id}.1");
    let task = it.get(&server, &path).json();
    assert_eq!((&task["status"], &task["order"]), (&"CANCELLED".into(), &1.into()), "{task}");

    // Taken late, it changes nothing.
    let entries = it.redis.ask(&["XRANGE", "not:read", "-", "+"]);
    let message = (*entries.texts().last().unwrap()).to_owned();
    let _sent = it.redis.ask(&["XADD", "errand:tasks", "*", "m", &message]);
    wait_until("the message is acknowledged", LIMIT, || it.is_idle());
    assert_eq!(it.get(&server, &path).json()["status"], "CANCELLED");
    assert_eq!(it.tasks(&server), ["COMPLETED"]);
}

#[test]
fn messages_that_come_twice_and_a_killed_dispatcher_change_nothing() {
    let Some(it) = World::prepare() else { return };
    let mut server = it.serve();
    let address = server.address().to_owned();
    let agent = it.agent("echo once", "");
    let mut run_ids = Vec::new();
    for _ in 0..3 {
        run_ids.push(it.run(&agent));
        server.process().kill();
        let _killed = server.into_process().wait();
        server = it.serve_at(&address);
    }
    let entries = it.redis.ask(&["XRANGE", "errand:tasks", "-", "+"]);
    let texts: Vec<String> = entries.texts().into_iter().map(str::to_owned).collect();
    for message in texts.iter().rev().filter(|text| text.starts_with('{')) {
        let _again = it.redis.ask(&["XADD", "errand:tasks", "*", "m", message]);
    }
    for run_id in &run_ids {
        let done = it.wait(run_id, "completed");
        assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
    }
    wait_until("all messages are acknowledged", LIMIT, || it.is_idle());
    assert_eq!(it.tasks(&server), ["COMPLETED"; 3]);
    assert_eq!(it.redis.number(&["XLEN", "errand:tasks:dead"]), 0);
}

#[test]
fn a_message_that_the_bus_lost_is_sent_again_by_its_run() {
    let Some(mut it) = World::prepare() else { return };
    let server = it.serve();
    let address = server.address().to_owned();
    server.process().kill();
    let _killed = server.into_process().wait();
    let fast = "  retry_policy: { max_retries: 0, dispatch: { max_retries: 2, timeout: 500ms } }\n";
    let run_id = it.run(&it.agent("echo found", fast));
    wait_until("the message is at the bus", LIMIT, || it.orders().len() == 1);
    it.redis.kill();
    it.redis.start_again();
    let _server = it.serve_at(&address);
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["output"], "found\n");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
}

#[test]
fn a_bus_that_cannot_be_used_is_refused_when_the_dispatcher_starts() {
    let sandbox = sandbox();
    let place = tempfile::tempdir().unwrap();
    let blobs = place.path().to_str().unwrap();
    let code = |words: &[&str]| {
        let words = [&["dispatcher", "--listen", "127.0.0.1:0"], words].concat();
        let ended = sandbox.errand(words).run();
        let text = ended.stderr();
        let code = text.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        code.unwrap_or_else(|| panic!("{}", ended.describe())).0.to_owned()
    };
    for address in ["kafka://host", "redis://", "sqs://host/queue"] {
        assert_eq!(code(&["--bus", address]), "bus_address_invalid", "{address}");
    }
    let bus = "redis://127.0.0.1:9";
    assert_eq!(code(&["--bus", bus]), "key_missing");
    let _made = sandbox.errand(["keys", "create", "--name", "me", "--scope", "admin"]).run().ok();
    assert_eq!(code(&["--bus", bus]), "bus_blobs_missing");
    assert_eq!(code(&["--bus", bus, "--blobs", blobs]), "bus_unreachable");
}

#[test]
fn a_sender_without_bus_key_or_place_for_orders_is_told_which() {
    let mut sender = sandbox();
    let image = "localhost/none:1";
    let fast =
        "  retry_policy: { max_retries: 0, dispatch: { max_retries: 1, initial_delay: 10ms } }\n";
    let bus = ", mode: bus, key: EDGE_KEY, bus: { redis: 'redis://127.0.0.1:9' }";
    apply(&sender, "edge", "http://127.0.0.1:9", bus);
    let agent = agent(&sender, image, "true", fast);
    sender.set_env("EDGE_KEY", "no key of errand");
    assert_eq!(codes(&sender, &agent), ["bus_access_denied"]);
    sender.set_env("EDGE_KEY", format!("errand_{}_{}", "0".repeat(8), "1".repeat(32)));
    assert_eq!(codes(&sender, &agent), ["bus_blobs_missing"]);
    // That registry keeps its blobs in itself for good.
    let place = tempfile::tempdir().unwrap();
    let mut fresh = sandbox();
    fresh.set_env("ERRAND_BLOBS", place.path());
    fresh.set_env("EDGE_KEY", format!("errand_{}_{}", "0".repeat(8), "1".repeat(32)));
    apply(&fresh, "edge", "http://127.0.0.1:9", bus);
    let agent = crate::dispatched::agent(&fresh, image, "true", fast);
    assert_eq!(codes(&fresh, &agent), ["bus_unreachable"; 2]);

    let file = fresh.repo().join("keyless.yaml");
    let manifest = "apiVersion: errand.dev/v1\nkind: Dispatcher\nmetadata: { name: keyless }\n\
                    spec: { url: 'http://h', mode: bus, bus: { redis: 'redis://h' } }\n";
    fs::write(&file, manifest).unwrap();
    let refused = fresh.errand(["apply", "-f"]).arg(&file).run();
    assert!(refused.stderr().contains("needs the dispatcher's API key"), "{}", refused.describe());
}
