//! Runs that a dispatcher carries out: a sender with a registry of its own, `errand dispatcher` as a process,
//! and real containers.

use std::fs;
use std::path::PathBuf;

use errand_testkit::podman::Podman;
use errand_testkit::{ErrandServer, LIMIT, Reaction, Receiver, Sandbox, wait_until};
use serde_json::Value;

use crate::support::{all, event_types, kill, record, sandbox};

/// Time limit of a dispatcher: longer than any test.
const LIFETIME: std::time::Duration = std::time::Duration::from_mins(10);

/// A dispatcher with an engine, and a machine without one that sends it runs.
pub(crate) struct World {
    pub(crate) sender: Sandbox,
    pub(crate) dispatcher: Sandbox,
    pub(crate) server: ErrandServer,
    image: String,
    podman: Podman,
}

impl World {
    /// Starts a dispatcher that the catalog of the sender calls `edge`; `None` on a machine that cannot
    /// have containers.
    pub(crate) fn start() -> Option<Self> {
        Self::with_slots(8)
    }

    /// Starts a dispatcher, as [`World::start`] does, that carries out that many tasks at a time.
    pub(crate) fn with_slots(slots: u32) -> Option<Self> {
        let podman = Podman::shared()?;
        let (sender, mut dispatcher) = (sandbox(), sandbox());
        dispatcher.set_env("DOCKER_HOST", podman.address());
        let server = serve(&dispatcher, "127.0.0.1:0", slots);
        let image = podman.script_image();
        let it = Self { sender, dispatcher, server, image, podman };
        it.apply("edge", &it.server.url(), "");
        Some(it)
    }

    /// Kills the dispatcher, and starts it again at the same address.
    pub(crate) fn restarted(self) -> Self {
        let Self { sender, dispatcher, server, image, podman } = self;
        let address = server.address().to_owned();
        server.process().kill();
        let _killed = server.into_process().wait();
        let server = serve(&dispatcher, &address, 8);
        Self { sender, dispatcher, server, image, podman }
    }

    /// Adds a dispatcher to the catalog of the sender.
    fn apply(&self, name: &str, url: &str, more: &str) {
        apply(&self.sender, name, url, more);
    }

    /// Returns the folder of an agent whose script the dispatcher runs.
    pub(crate) fn agent(&self, script: &str, more: &str) -> PathBuf {
        agent(&self.sender, &self.image, script, more)
    }

    /// Starts a run in the background, and returns its id.
    pub(crate) fn run(&self, agent: &PathBuf) -> String {
        let said = self.sender.errand(["run", "-d"]).arg(agent).run().ok().stdout();
        said.trim().to_owned()
    }

    pub(crate) fn record(&self, run_id: &str) -> Value {
        record(&self.sender, run_id)
    }

    pub(crate) fn wait(&self, run_id: &str, status: &str) -> Value {
        wait_until(&format!("the run is {status}"), LIMIT * 2, || {
            let record = self.record(run_id);
            let found = record["status"].as_str().unwrap_or_default().to_owned();
            let is_over = ["completed", "failed", "cancelled"].contains(&found.as_str());
            assert!(!is_over || found == status, "{record}");
            found == status
        });
        self.record(run_id)
    }

    pub(crate) fn log(&self, run_id: &str) -> String {
        let said = self.sender.errand(["logs", run_id]).run().ok();
        format!("{}{}", said.stdout(), said.stderr())
    }

    /// Lets the agent of the only live task end, which waits for a file in its workspace.
    pub(crate) fn let_go(&self) {
        let run = self.dispatcher.errand(["ps", "--json"]).run().ok();
        let tasks: Value = run.json();
        let workspace =
            |task: &Value| task["attempts"][0]["workspace"]["path"].as_str().map(str::to_owned);
        let workspace = tasks.as_array().unwrap().iter().find_map(workspace).unwrap();
        fs::write(format!("{workspace}/go"), "").unwrap();
    }

    /// Returns the state of the container of the only live task, as its engine knows it.
    fn container(&self) -> String {
        let tasks: Value = self.dispatcher.errand(["ps", "--json"]).run().ok().json();
        let label = format!("dev.errand.run={}", tasks[0]["run_id"].as_str().unwrap());
        let found = self.podman.with_label(&label);
        assert_eq!(found.len(), 1, "{found:?}");
        self.podman.run(&["inspect", "--format", "{{.State.Status}}", &found[0]])
    }

    /// Returns the states of the dispatcher's tasks.
    pub(crate) fn tasks(&self) -> Vec<String> {
        let tasks = self.server.get("/tasks").json()["tasks"].clone();
        let tasks = tasks.as_array().unwrap().clone();
        tasks.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(sandbox: &Sandbox, address: &str, slots: u32) -> ErrandServer {
    let words = ["dispatcher", "--listen", address, "--slots", &slots.to_string()];
    ErrandServer::of(sandbox.errand(words).limit(LIFETIME).spawn())
}

pub(crate) fn apply(sandbox: &Sandbox, name: &str, url: &str, more: &str) {
    let manifest = format!(
        "apiVersion: errand.dev/v1\nkind: Dispatcher\nmetadata: {{ name: {name} }}\n\
         spec: {{ url: '{url}'{more} }}\n"
    );
    let file = sandbox.repo().join(format!("{name}.yaml"));
    fs::write(&file, manifest).unwrap();
    let _applied = sandbox.errand(["apply", "-f"]).arg(&file).run().ok();
}

pub(crate) fn agent(sandbox: &Sandbox, image: &str, script: &str, more: &str) -> PathBuf {
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
fn the_journal_of_a_task_is_verified_and_kept_and_its_calls_and_files_are_those_of_the_run() {
    let Some(it) = World::start() else { return };
    let call = r#"{"provider":"openai","model":"m","input_tokens":120,"output_tokens":30}"#;
    let script = format!(
        "errand agent emit model.called '{call}'; mkdir -p out; echo kept > 'out/a b.txt'; \
         errand agent artifact 'out/a b.txt' --name 'out/a b.txt'; errand agent step one -- echo stepped"
    );
    let run = it.sender.errand(["run", "--json"]).arg(it.agent(&script, "")).run().ok();
    let record: Value = run.json();
    let run_id = record["run_id"].as_str().unwrap();
    let usage = &record["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&120.into(), &30.into()));
    assert_eq!(record["artifacts"][0]["name"], "out/a b.txt", "{record}");
    let fetched = it.sender.errand(["artifacts", run_id, "out/a b.txt"]).run().ok().stdout();
    assert_eq!(fetched, "kept\n");

    let events = it.sender.errand(["events", run_id, "--json"]).run().ok().stdout();
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let task = &last["data"]["task"];
    assert_eq!(
        (&task["dispatcher"], &task["task_id"]),
        (&"edge".into(), &format!("{run_id}.1").into())
    );
    let journal = it.sender.errand(["events", run_id, "--task", "--json"]).run().ok().stdout();
    let its_last: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!((&its_last["hash"], &its_last["seq"]), (&task["last_hash"], &task["events"]));
    assert!(journal.contains("step.completed") && !events.contains("step.completed"));
    let _shown = it.sender.errand(["events", run_id, "--task"]).run().ok();
    let _sound = it.sender.errand(["verify", run_id]).run().ok();
    let archive = it.sender.path("run.tar");
    let _exported = it.sender.errand(["export", run_id, "-o"]).arg(&archive).run().ok();
    let _sound = it.sender.errand(["verify"]).arg(&archive).run().ok();
    let hex = task["blob"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let names = it.sender.tool("/usr/bin/tar", ["-tf"]).arg(&archive).run().ok().stdout();
    assert!(names.contains(&hex), "{names}");

    let output =
        it.sender.errand(["output", run_id, "--blob"]).arg(format!("sha256:{hex}")).run().ok();
    assert_eq!(output.stdout(), journal);
    let mut other = fs::File::options().append(true).open(blob(&it.sender, &hex).unwrap()).unwrap();
    std::io::Write::write_all(&mut other, b"x").unwrap();
    let _broken = it.sender.errand(["verify", run_id]).run().exits(125);
}

/// Returns the file of a blob, which its owner may write.
fn blob(sandbox: &Sandbox, hex: &str) -> Option<PathBuf> {
    let mut folders = vec![sandbox.registry().join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(sandbox.registry()).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.replace('/', "").contains(&hex[2..]) {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn an_agent_at_a_dispatcher_has_the_brief_with_its_skills() {
    let Some(it) = World::start() else { return };
    let script = "errand agent brief; echo; sha256sum < $ERRAND_BRIEF; echo $BRIEF_KEY";
    let agent = it.agent(script, "  skills: [review]\n");
    fs::create_dir(agent.join("skills")).unwrap();
    fs::write(agent.join("skills/review.md"), "Look twice.").unwrap();
    let given = ["run", "--json", "--instructions", "Review the change.", "--context", "PR 42"];
    let record: Value = it.sender.errand(given).arg(&agent).run().ok().json();
    let run_id = record["run_id"].as_str().unwrap();
    let said = record["output"].as_str().unwrap().to_owned();
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let brief: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(brief["skills"][0]["instructions"], "Look twice.", "{brief}");
    assert_eq!(
        (&brief["instructions"], &brief["context"]),
        (&"Review the change.".into(), &"PR 42".into())
    );
    assert_eq!(brief["task_id"], run_id);
    let hash = lines[1].split(' ').next().unwrap();
    assert_eq!(lines[2], format!("briefs/{run_id}/{hash}.json"));

    let wrong = errand_testkit::HttpRequest::put(&format!("/briefs/x/{hash}.json"), "{}");
    assert_eq!(it.server.send(&wrong.header("Content-Type", "application/json")).status, 400);
}

#[test]
fn failures_of_the_agent_are_tried_again_in_the_task_and_no_step_is_done_twice() {
    let Some(it) = World::start() else { return };
    let script = "errand agent step one -- echo stepped; [ -e again ] || { touch again; exit 75; }";
    let policy = "  retry_policy: { max_retries: 2, initial_delay: 10ms, retry_on: ['exit:75'] }\n";
    let run_id = it.run(&it.agent(script, policy));
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
    let journal = it.sender.errand(["events", &run_id, "--task"]).run().ok().stdout();
    assert_eq!(journal.matches("attempt.started").count(), 2, "{journal}");
    assert_eq!(journal.matches("step.started").count(), 1, "{journal}");

    let run_id = it.run(&it.agent("exit 75", policy));
    let failed = it.wait(&run_id, "failed");
    assert_eq!(
        (&failed["exit_code"], failed["attempts"].as_array().unwrap().len()),
        (&75.into(), 1)
    );
    let letters = it.sender.errand(["dlq", "ls"]).run().ok().stdout();
    assert!(letters.contains(&run_id), "{letters}");

    // The dispatcher has the completed steps: a retry elsewhere would do them again.
    let run_id = it.run(&it.agent("errand agent step one -- true; exit 3", ""));
    it.wait(&run_id, "failed");
    let refused = it.sender.errand(["retry", &run_id]).run();
    assert!(refused.stderr().starts_with("error[run_not_retryable]"), "{}", refused.describe());
}

#[test]
fn the_state_and_the_ports_of_a_task_are_in_the_record_while_it_lives() {
    let Some(it) = World::start() else { return };
    let agent = it.agent("echo up; until [ -e go ]; do sleep 0.1; done", "");
    let file = agent.join("agent.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let ports = format!("image: '{}', ports: [{{ container_port: 6080 }}]", it.image);
    fs::write(&file, text.replace(&format!("image: '{}'", it.image), &ports)).unwrap();
    let run_id = it.run(&agent);
    wait_until("the task runs", LIMIT * 2, || {
        it.record(&run_id)["attempts"][0]["task"]["status"] == "RUNNING"
    });
    let task = it.record(&run_id)["attempts"][0]["task"].clone();
    assert_eq!((&task["dispatcher"], &task["url"]), (&"edge".into(), &it.server.url().into()));
    let port = &task["ports"][0];
    assert_eq!((&port["container_port"], &port["host"]), (&6080.into(), &"127.0.0.1".into()));
    let listed = it.sender.errand(["ps"]).run().ok().stdout();
    assert!(listed.contains("->6080/tcp"), "{listed}");
    let types = event_types(&it.sender, &run_id);
    assert!(types.contains(&"attempt.task_changed".to_owned()), "{types:?}");
    it.let_go();
    it.wait(&run_id, "completed");
    let listed = it.sender.errand(["ps", "-a"]).run().ok().stdout();
    assert!(!listed.contains("->6080/tcp"), "{listed}");
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
    it.let_go();
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
    for task in all(&it.dispatcher) {
        let label = format!("dev.errand.run={}", task["run_id"].as_str().unwrap());
        assert_eq!(it.podman.with_label(&label), Vec::<String>::new());
    }

    let run_id = it.run(&it.agent("echo up; sleep 601", ""));
    wait_until("the agent runs", LIMIT, || it.log(&run_id).contains("up"));
    let path = format!("/tasks/{run_id}.1/cancel");
    assert!(it.server.post(&path, &Value::Null).status < 300);
    let failed = it.wait(&run_id, "failed");
    assert_eq!(failed["last_error"]["code"], "task_cancelled");

    let run_id = it.run(&it.agent("echo up; sleep 602", "  timeouts: { run: 3s }\n"));
    assert_eq!(it.wait(&run_id, "failed")["last_error"]["code"], "timeout_run");
}

#[test]
fn a_paused_task_executes_nothing_until_it_is_resumed_whoever_dies_meanwhile() {
    let Some(it) = World::start() else { return };
    let script = "i=0; until [ -e go ]; do i=$((i+1)); echo line $i; sleep 0.05; done";
    let run_id = it.run(&it.agent(script, ""));
    wait_until("the log has lines", LIMIT, || it.log(&run_id).contains("line 3"));
    let task = || it.server.get(&format!("/tasks/{run_id}.1")).json();
    assert_eq!(task()["paused"], Value::Null);
    let _paused = it.sender.errand(["pause", &run_id]).run().ok();
    assert_eq!(it.container(), "paused");
    assert_eq!((&task()["status"], &task()["paused"]), (&"RUNNING".into(), &true.into()));

    kill(&it.record(&run_id)["pid"]);
    wait_until("the run is adopted", LIMIT, || {
        it.record(&run_id);
        event_types(&it.sender, &run_id).contains(&"attempt.adopted".to_owned())
    });
    let it = it.restarted();
    assert_eq!(
        (it.record(&run_id)["status"].as_str(), it.container()),
        (Some("paused"), "paused".to_owned())
    );
    let _resumed = it.sender.errand(["resume", &run_id]).run().ok();
    wait_until("the container goes on", LIMIT, || it.container() == "running");

    // A pause by the dispatcher's own operator is none of the sender's business.
    let path = format!("/tasks/{run_id}.1");
    assert_eq!(it.server.post(&format!("{path}/pause"), &Value::Null).status, 200);
    assert_eq!(it.container(), "paused");
    assert_eq!(it.record(&run_id)["status"], "running");
    assert_eq!(it.server.post(&format!("{path}/resume"), &Value::Null).status, 200);
    assert_eq!(it.server.post(&format!("{path}/resume"), &Value::Null).status, 409);
    it.let_go();
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
}

/// Runs an agent, and returns the codes with which its attempts failed.
pub(crate) fn codes(sender: &Sandbox, agent: &PathBuf) -> Vec<String> {
    let ended: Value = sender.errand(["run", "--json"]).arg(agent).run().json();
    let attempts = ended["attempts"].as_array().unwrap().iter();
    attempts.map(|it| it["error"]["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_failures_on_the_way_to_a_dispatcher_are_tried_again() {
    let mut sender = sandbox();
    apply(&sender, "edge", "http://127.0.0.1:9", ", key: EDGE_KEY");
    let way = |more: &str| {
        let dispatch = format!("dispatch: {{ max_retries: 2, initial_delay: 10ms{more} }}");
        format!("  retry_policy: {{ max_retries: 0, {dispatch} }}\n")
    };
    let image = "localhost/none:1";
    assert_eq!(codes(&sender, &agent(&sender, image, "true", &way(""))), ["secret_missing"]);
    sender.set_env("EDGE_KEY", "a-key-of-a-dispatcher");
    let refused = codes(&sender, &agent(&sender, image, "true", &way("")));
    assert_eq!(refused, ["dispatcher_unreachable"; 3]);
    let once = way("").replace("max_retries: 2", "max_retries: 0");
    assert_eq!(codes(&sender, &agent(&sender, image, "true", &once)), ["dispatcher_unreachable"]);

    let receiver = Receiver::start();
    apply(&sender, "edge", &receiver.url(""), ", key: EDGE_KEY");
    let agent = agent(&sender, image, "true", &way(""));
    let problem = |status: u16, code: &str| {
        let headers = vec![("Content-Type".to_owned(), "application/problem+json".to_owned())];
        let body = format!(r#"{{"code":"{code}","detail":"no","title":"no"}}"#);
        Reaction::Answer(status, headers, body)
    };
    // The brief is stored first, then the task is sent.
    for (reactions, expected) in [
        (vec![Reaction::status(503); 3], vec!["dispatcher_unreachable"; 3]),
        (vec![Reaction::HangUp; 3], vec!["dispatcher_unreachable"; 3]),
        (
            vec![Reaction::status(204), Reaction::status(500), problem(401, "key_invalid")],
            vec!["dispatcher_unreachable", "dispatch_refused"],
        ),
        (vec![problem(403, "scope_missing")], vec!["dispatch_refused"]),
        (vec![Reaction::status(204), problem(400, "request_invalid")], vec!["dispatch_refused"]),
        (vec![Reaction::status(204), problem(409, "task_conflict")], vec!["dispatch_refused"]),
        (vec![Reaction::status(204), problem(422, "image_not_found")], vec!["image_not_found"]),
    ] {
        let shown = format!("{reactions:?}");
        receiver.react(reactions);
        assert_eq!(codes(&sender, &agent), expected, "{shown}");
    }
}

#[test]
fn a_detached_run_whose_first_attempt_fails_on_the_way_is_left_running() {
    let sender = sandbox();
    apply(&sender, "edge", "http://127.0.0.1:9", "");
    let slow =
        "  retry_policy: { max_retries: 0, dispatch: { max_retries: 1, initial_delay: 10m } }\n";
    let agent = agent(&sender, "localhost/none:1", "true", slow);
    let left = sender.errand(["run", "-d"]).arg(&agent).run().ok();
    let said = left.stderr();
    assert!(said.starts_with("attempt 1 failed, another follows: dispatcher edge: "), "{said}");
    let run_id = left.stdout_line();
    assert_eq!(record(&sender, &run_id)["status"], "pending");
    let _stopped = sender.errand(["stop", &run_id]).run().ok();
}

#[test]
fn a_dispatcher_that_takes_connections_and_never_answers_is_given_up_after_the_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = sandbox();
    apply(&sender, "edge", &format!("http://{}", silent.local_addr().unwrap()), "");
    let dispatch = "{ max_retries: 2, initial_delay: 10ms, timeout: 200ms }";
    let policy = format!("  retry_policy: {{ max_retries: 0, dispatch: {dispatch} }}\n");
    let silenced = agent(&sender, "localhost/none:1", "true", &policy);
    assert_eq!(codes(&sender, &silenced), ["dispatcher_unreachable"; 3]);
}

#[test]
fn a_dispatcher_is_chosen_by_target_and_labels_and_one_that_does_not_exist_is_refused() {
    let sender = sandbox();
    let image = "localhost/none:1";
    let fast =
        "  retry_policy: { max_retries: 0, dispatch: { max_retries: 1, initial_delay: 10ms } }\n";
    let named = agent(&sender, image, "true", fast);
    let refused = sender.errand(["run"]).arg(&named).run();
    assert!(refused.stderr().contains("dependency_missing"), "{}", refused.describe());

    let auto = agent(&sender, image, "true", fast).join("agent.yaml");
    let text = fs::read_to_string(&auto).unwrap().replace("dispatcher: edge", "dispatcher: auto");
    let text = text.replace("{ name: sent }", "{ name: sent, labels: { zone: a } }");
    fs::write(&auto, text).unwrap();
    assert_eq!(codes(&sender, &auto), ["no_active_dispatcher"; 2]);
    apply(&sender, "cluster", "http://127.0.0.1:9", ", targets: [kubernetes]");
    apply(&sender, "far", "http://127.0.0.1:9", ", labels: { zone: b }");
    assert_eq!(codes(&sender, &auto), ["no_active_dispatcher"; 2]);
    apply(&sender, "near", "http://127.0.0.1:9", ", targets: [container], labels: { zone: a }");
    assert_eq!(codes(&sender, &auto), ["dispatcher_unreachable"; 2], "a single one is not probed");
}
