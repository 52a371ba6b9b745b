//! Runs that a dispatcher carries out: a sender with a registry of its own, `errand dispatcher` as a process,
//! and real containers.

use std::fs;
use std::path::PathBuf;

use errand_testkit::podman::Podman;
use errand_testkit::{ErrandServer, LIMIT, Sandbox, wait_until};
use serde_json::Value;

use crate::support::{event_types, kill, record, sandbox};

/// Time limit of a dispatcher: longer than any test.
const LIFETIME: std::time::Duration = std::time::Duration::from_mins(10);

/// A dispatcher with an engine, and a machine without one that sends it runs.
struct World {
    sender: Sandbox,
    dispatcher: Sandbox,
    server: ErrandServer,
    image: String,
    podman: Podman,
}

impl World {
    /// Starts a dispatcher that the catalog of the sender calls `edge`; `None` on a machine that cannot
    /// have containers.
    fn start() -> Option<Self> {
        let podman = Podman::shared()?;
        let (sender, mut dispatcher) = (sandbox(), sandbox());
        dispatcher.set_env("DOCKER_HOST", podman.address());
        let server = serve(&dispatcher, "127.0.0.1:0");
        let image = podman.script_image();
        let it = Self { sender, dispatcher, server, image, podman };
        it.apply("edge", &it.server.url(), "");
        Some(it)
    }

    /// Kills the dispatcher, and starts it again at the same address.
    fn restarted(self) -> Self {
        let Self { sender, dispatcher, server, image, podman } = self;
        let address = server.address().to_owned();
        server.process().kill();
        let _killed = server.into_process().wait();
        let server = serve(&dispatcher, &address);
        Self { sender, dispatcher, server, image, podman }
    }

    /// Adds a dispatcher to the catalog of the sender.
    fn apply(&self, name: &str, url: &str, more: &str) {
        apply(&self.sender, name, url, more);
    }

    /// Returns the folder of an agent whose script the dispatcher runs.
    fn agent(&self, script: &str, more: &str) -> PathBuf {
        agent(&self.sender, &self.image, script, more)
    }

    /// Starts a run in the background, and returns its id.
    fn run(&self, agent: &PathBuf) -> String {
        let said = self.sender.errand(["run", "-d"]).arg(agent).run().ok().stdout();
        said.trim().to_owned()
    }

    fn record(&self, run_id: &str) -> Value {
        record(&self.sender, run_id)
    }

    fn wait(&self, run_id: &str, status: &str) -> Value {
        wait_until(&format!("the run is {status}"), LIMIT * 2, || {
            let record = self.record(run_id);
            let found = record["status"].as_str().unwrap_or_default().to_owned();
            let is_over = ["completed", "failed", "cancelled"].contains(&found.as_str());
            assert!(!is_over || found == status, "{record}");
            found == status
        });
        self.record(run_id)
    }

    fn log(&self, run_id: &str) -> String {
        let said = self.sender.errand(["logs", run_id]).run().ok();
        format!("{}{}", said.stdout(), said.stderr())
    }

    /// Returns the states of the dispatcher's tasks.
    fn tasks(&self) -> Vec<String> {
        let tasks = self.server.get("/tasks").json()["tasks"].clone();
        let tasks = tasks.as_array().unwrap().clone();
        tasks.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(sandbox: &Sandbox, address: &str) -> ErrandServer {
    let words = ["dispatcher", "--listen", address];
    ErrandServer::of(sandbox.errand(words).limit(LIFETIME).spawn())
}

fn apply(sandbox: &Sandbox, name: &str, url: &str, more: &str) {
    let manifest = format!(
        "apiVersion: errand.dev/v1\nkind: Dispatcher\nmetadata: {{ name: {name} }}\n\
         spec: {{ url: '{url}'{more} }}\n"
    );
    let file = sandbox.repo().join(format!("{name}.yaml"));
    fs::write(&file, manifest).unwrap();
    let _applied = sandbox.errand(["apply", "-f"]).arg(&file).run().ok();
}

fn agent(sandbox: &Sandbox, image: &str, script: &str, more: &str) -> PathBuf {
    let folder = tempfile_in(sandbox);
    let script = script.replace('\'', "''");
    let spec = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: sent }}\nspec:\n  \
         dispatcher: edge\n  target: {{ type: container, image: '{image}' }}\n  \
         command: [sh, -c, '{script}']\n{more}"
    );
    fs::write(folder.join("agent.yaml"), spec).unwrap();
    folder
}

/// Makes a folder of its own for an agent.
fn tempfile_in(sandbox: &Sandbox) -> PathBuf {
    let number = fs::read_dir(sandbox.repo()).unwrap().count();
    let folder = sandbox.repo().join(format!("agent-{number}"));
    fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn a_run_at_a_dispatcher_has_input_secrets_log_output_and_exit_code() {
    let Some(mut it) = World::start() else { return };
    it.sender.set_env("TOKEN", "a-secret-value");
    let script = "echo got $(cat) and $TOKEN; echo oops >&2; errand agent output '{\"ok\":true}'";
    let agent = it.agent(script, "  secrets: [TOKEN]\n");
    let run = it.sender.errand(["run", "--json", "--job", "given"]).arg(&agent).run().ok();
    let record: Value = run.json();
    assert_eq!((&record["status"], &record["exit_code"]), (&"completed".into(), &0.into()));
    assert_eq!(record["output"], serde_json::json!({ "ok": true }));
    assert_eq!(record["attempts"][0]["target"], "dispatcher");
    let run_id = record["run_id"].as_str().unwrap();
    let log = it.log(run_id);
    assert!(log.contains("got given and [redacted:TOKEN]") && log.contains("oops"), "{log}");
    assert_eq!(it.tasks(), ["COMPLETED"]);
    let files = fs::read_dir(it.dispatcher.registry().join("runs")).unwrap().flatten();
    for file in files.filter(|file| file.path().is_file()) {
        let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
        assert!(!text.contains("a-secret-value"), "{}", file.path().display());
    }

    let failing = it.agent("echo broken; exit 7", "");
    let failed = it.wait(&it.run(&failing), "failed");
    assert_eq!(
        (&failed["exit_code"], &failed["last_error"]["code"]),
        (&7.into(), &"exit_nonzero".into())
    );
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1);
    let missing = it.agent("true", "").join("agent.yaml");
    let text = fs::read_to_string(&missing).unwrap().replace(&it.image, "localhost/none:1");
    fs::write(&missing, text).unwrap();
    let failed = it.wait(&it.run(&missing), "failed");
    assert_eq!(failed["last_error"]["code"], "image_not_found", "{failed}");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_run_at_a_dispatcher_survives_its_sender_and_its_dispatcher_and_is_stopped_by_both() {
    let Some(it) = World::start() else { return };
    let script = "i=0; until [ -e go ]; do i=$((i+1)); echo line $i; sleep 0.2; done; echo done";
    let agent = it.agent(script, "");
    let run_id = it.run(&agent);
    wait_until("the log has lines", LIMIT, || it.log(&run_id).contains("line 3"));
    kill(&it.record(&run_id)["pid"]);
    wait_until("the run is adopted", LIMIT, || {
        let found = it.record(&run_id);
        assert_eq!(found["attempts"].as_array().unwrap().len(), 1, "{found}");
        event_types(&it.sender, &run_id).contains(&"attempt.adopted".to_owned())
    });
    let it = it.restarted();
    let run = it.dispatcher.errand(["ps", "--json"]).run().ok();
    let task: Value = run.json();
    let workspace = task[0]["attempts"][0]["workspace"]["path"].as_str().unwrap().to_owned();
    fs::write(format!("{workspace}/go"), "").unwrap();
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
    let log = it.log(&run_id);
    let numbers: Vec<u32> =
        log.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    let expected: Vec<u32> = (1..=u32::try_from(numbers.len()).unwrap()).collect();
    assert_eq!(numbers, expected, "no line is lost or doubled");

    let endless = it.agent("echo up; sleep 600", "");
    let run_id = it.run(&endless);
    wait_until("the agent runs", LIMIT, || it.log(&run_id).contains("up"));
    let _stopped = it.sender.errand(["stop", &run_id]).run().ok();
    it.wait(&run_id, "cancelled");
    assert!(it.tasks().contains(&"CANCELLED".to_owned()), "{:?}", it.tasks());
    assert_eq!(it.podman.with_label("dev.errand.run"), Vec::<String>::new());

    let run_id = it.run(&it.agent("echo up; sleep 601", ""));
    wait_until("the agent runs", LIMIT, || it.log(&run_id).contains("up"));
    let path = format!("/tasks/{run_id}.1/cancel");
    assert!(it.server.post(&path, &Value::Null).status < 300);
    let failed = it.wait(&run_id, "failed");
    assert_eq!(failed["last_error"]["code"], "task_cancelled");

    let run_id = it.run(&it.agent("echo up; sleep 602", "  timeouts: { run: 3s }\n"));
    assert_eq!(it.wait(&run_id, "failed")["last_error"]["code"], "timeout_run");
}

/// Runs an agent, and returns the codes with which its attempts failed.
fn codes(sender: &Sandbox, agent: &PathBuf) -> Vec<String> {
    let ended: Value = sender.errand(["run", "--json"]).arg(agent).run().json();
    let attempts = ended["attempts"].as_array().unwrap().iter();
    attempts.map(|it| it["error"]["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_failures_on_the_way_to_a_dispatcher_are_tried_again() {
    let mut sender = sandbox();
    apply(&sender, "edge", "http://127.0.0.1:9", ", key: EDGE_KEY");
    let image = "localhost/none:1";
    let fast =
        "  retry_policy: { max_retries: 0, dispatch: { max_retries: 2, initial_delay: 10ms } }\n";
    assert_eq!(codes(&sender, &agent(&sender, image, "true", fast)), ["secret_missing"]);
    sender.set_env("EDGE_KEY", "a-key-of-a-dispatcher");
    let refused = codes(&sender, &agent(&sender, image, "true", fast));
    assert_eq!(refused, ["dispatcher_unreachable"; 3]);
    let none = fast.replace("max_retries: 2", "max_retries: 0");
    assert_eq!(codes(&sender, &agent(&sender, image, "true", &none)), ["dispatcher_unreachable"]);
}
