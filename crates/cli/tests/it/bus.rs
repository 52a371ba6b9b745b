//! Runs that go to a dispatcher by a bus: a sender, Redis, `errand dispatcher` as a process, and real
//! containers.

use std::fs;
use std::path::{Path, PathBuf};

use errand_testkit::podman::Podman;
use errand_testkit::redis::RedisServer;
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, Sandbox, wait_until};
use serde_json::Value;

use crate::dispatched::{agent, apply};
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
        Some(Self { sender, dispatcher, redis, place, key, image })
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

    fn pending(&self) -> String {
        let pending = self.redis.ask(&["XPENDING", "errand:tasks", "errand"]);
        pending.texts().first().map_or_else(String::new, |&count| count.to_owned())
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
    wait_until("all messages are acknowledged", LIMIT, || it.pending() == "0");
    assert_eq!(it.orders(), Vec::<PathBuf>::new());
    let _sound = it.sender.errand(["verify", &run_id]).run().ok();
}
