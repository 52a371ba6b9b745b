//! A foreign controller that uses a dispatcher with curl alone: `errand dispatcher` as a process, with
//! real containers.

use std::collections::BTreeSet;

use errand_engine::outbox::{Signing, SigningSecret};
use errand_testkit::podman::Podman;
use errand_testkit::postgres::Database;
use errand_testkit::{ErrandServer, LIMIT, Reaction, Receiver, Sandbox, wait_until};
use serde_json::{Value, json};

use crate::support::{all, sandbox};

/// Time limit of a dispatcher: longer than any test.
const LIFETIME: std::time::Duration = std::time::Duration::from_mins(10);
/// All fields of a task.
const FIELDS: [&str; 11] = [
    "completed_at",
    "duration_seconds",
    "error",
    "exit_code",
    "log_stream",
    "ports",
    "result_key",
    "started_at",
    "status",
    "task_id",
    "tokens_used",
];

/// A dispatcher with an engine, and a controller that has nothing but curl.
struct Controller {
    sandbox: Sandbox,
    server: ErrandServer,
    image: String,
    podman: Podman,
}

impl Controller {
    /// Starts a dispatcher; `None` on a machine that cannot have containers.
    fn start(more: &[&str]) -> Option<Self> {
        let podman = Podman::shared()?;
        let mut sandbox = sandbox();
        sandbox.set_env("DOCKER_HOST", podman.address());
        let server = serve(&sandbox, more);
        let image = podman.script_image();
        Some(Self { sandbox, server, image, podman })
    }

    /// Ends the dispatcher as a signal does, and starts another one.
    fn restart(self, signal: impl FnOnce(&ErrandServer)) -> Self {
        let Self { sandbox, server, image, podman } = self;
        signal(&server);
        let _ended = server.into_process().wait();
        let server = serve(&sandbox, &[]);
        Self { sandbox, server, image, podman }
    }

    /// Calls curl. Returns the status and the body.
    fn curl(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("{}{path}", self.server.url());
        let call = self.sandbox.tool("/usr/bin/curl", ["-sS", "-w", "\n%{http_code}"]);
        let said = call.args(more).arg(url).run().ok().stdout();
        let (body, status) = said.trim_end().rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    fn json(&self, path: &str, more: &[&str]) -> (u16, Value) {
        let (status, body) = self.curl(path, more);
        (status, serde_json::from_str(&body).expect(&body))
    }

    fn post(&self, task: &Value) -> (u16, Value) {
        self.json("/tasks", &["--json", &task.to_string()])
    }

    /// Returns a task whose container runs a script.
    fn task(&self, task_id: &str, script: &str) -> Value {
        json!({ "task_id": task_id, "agent_image": self.image, "env": { "SCRIPT": script } })
    }

    /// Returns the records of all runs, newest first.
    fn runs(&self) -> Vec<Value> {
        self.json("/v1/runs?limit=100", &[]).1["runs"].as_array().unwrap().clone()
    }

    fn status(&self, task_id: &str) -> Value {
        self.json(&format!("/tasks/{task_id}"), &[]).1["status"].clone()
    }

    fn wait(&self, task_id: &str, status: &str) -> Value {
        let path = format!("/tasks/{task_id}");
        wait_until(&format!("{task_id} is {status}"), LIMIT * 2, || {
            let (_, task) = self.json(&path, &[]);
            let found = task["status"].as_str().unwrap_or_default();
            let is_over = !["QUEUED", "PROVISIONING", "RUNNING"].contains(&found);
            assert!(!is_over || found == status, "{task}");
            found == status
        });
        self.json(&path, &[]).1
    }
}

fn serve(sandbox: &Sandbox, more: &[&str]) -> ErrandServer {
    let words = ["dispatcher", "--listen", "127.0.0.1:0"];
    ErrandServer::of(sandbox.errand(words).args(more).limit(LIFETIME).spawn())
}

#[test]
fn a_task_goes_from_queued_to_completed_with_log_result_ports_and_secrets() {
    let Some(it) = Controller::start(&[]) else { return };
    let script = "echo got $TASK_ID $BRIEF_KEY $GITHUB_TOKEN; until [ -e go ]; do sleep 0.1; done; \
                  errand agent emit model.called '{\"provider\":\"openai\",\"model\":\"m\",\
                  \"input_tokens\":120,\"output_tokens\":30}'; errand agent output '{\"ok\":true}'";
    let mut task = it.task("review-1", script);
    task["env"]["GITHUB_TOKEN"] = json!("a-very-secret-value");
    task["ports"] = json!([{ "container_port": 6080, "protocol": "tcp" }]);
    task["brief_key"] = json!("briefs/review-1/hash.json");
    // Some clients write numbers, and null for what they leave out.
    task["resources"] = json!({ "cpu": 1, "memory": "256Mi" });
    for field in ["callback_url", "callback_token", "retry_policy", "timeout_seconds", "input"] {
        task[field] = Value::Null;
    }
    task["runtime_target"] = json!({ "type": "podman", "namespace": "agents" });
    let (status, sent) = it.post(&task);
    assert_eq!((status, &sent["task_id"]), (202, &json!("review-1")), "{sent}");
    let fields: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields.into_iter().collect::<BTreeSet<_>>(), FIELDS.into_iter().collect());

    let running = it.wait("review-1", "RUNNING");
    assert!(running["started_at"].as_str().unwrap().ends_with('Z'), "{running}");
    let port = &running["ports"][0];
    assert_eq!((&port["container_port"], &port["host"]), (&json!(6080), &json!("127.0.0.1")));
    let log = running["log_stream"].as_str().unwrap().trim_end_matches("?follow=true").to_owned();
    wait_until("the log has the first line", LIMIT, || it.curl(&log, &[]).1.contains("got "));
    let run = &all(&it.sandbox)[0];
    assert_eq!(run["labels"]["runtime_namespace"], "agents");
    let workspace = run["attempts"][0]["workspace"]["path"].as_str().unwrap();
    std::fs::write(format!("{workspace}/go"), "").unwrap();

    let (status, stream) = it.curl(running["log_stream"].as_str().unwrap(), &["-N"]);
    assert_eq!(status, 200);
    assert!(stream.contains("got review-1 briefs/review-1/hash.json [redacted:"), "{stream}");
    let done = it.wait("review-1", "COMPLETED");
    assert_eq!((&done["exit_code"], &done["tokens_used"]), (&json!(0), &json!(150)));
    assert!(done["duration_seconds"].as_f64().unwrap() > 0.0, "{done}");
    assert_eq!((&done["error"], &done["ports"]), (&Value::Null, &json!([])));
    let result = it.json(done["result_key"].as_str().unwrap(), &[]);
    assert_eq!(result, (200, json!({ "ok": true })));
    let found = it.sandbox.tool("/bin/grep", ["-rl", "a-very-secret-value"]);
    let found = found.arg(it.sandbox.registry()).run();
    assert_eq!(found.stdout(), "", "no file has the secret in clear");
}

#[test]
fn a_task_fails_times_out_and_is_cancelled() {
    let Some(it) = Controller::start(&[]) else { return };
    let mut late = it.task("late", "sleep 600");
    late["timeout_seconds"] = json!(1);
    assert_eq!(it.post(&it.task("broken", "echo oh >&2; exit 3")).0, 202);
    assert_eq!(it.post(&late).0, 202);
    assert_eq!(it.post(&it.task("long", "echo on; sleep 601")).0, 202);
    let mut nowhere = it.task("nowhere", "true");
    nowhere["agent_image"] = json!("localhost/no-such-image:1");
    assert_eq!(it.post(&nowhere).0, 202);

    let broken = it.wait("broken", "FAILED");
    assert_eq!(
        (&broken["exit_code"], &broken["error"]["code"]),
        (&3.into(), &"exit_nonzero".into())
    );
    assert_eq!(it.wait("late", "TIMED_OUT")["error"]["code"], "timeout_run");
    assert_eq!(it.wait("nowhere", "FAILED")["error"]["code"], "image_not_found");
    it.wait("long", "RUNNING");
    let (status, _) = it.json("/tasks/long/cancel", &["-X", "POST"]);
    assert!(matches!(status, 200 | 202), "{status}");
    it.wait("long", "CANCELLED");
    assert_eq!(it.json("/tasks/long/cancel", &["-X", "POST"]).0, 200, "again, and it is over");
    // Other tests have containers at the same engine.
    let own = format!("dev.errand.registry={}", it.sandbox.registry().display());
    let left = it.podman.with_label(&own);
    assert_eq!(left, Vec::<String>::new(), "containers of tasks that are over are removed");

    let (_, page) = it.json("/tasks?limit=3", &[]);
    let ids = |page: &Value| -> Vec<String> {
        let tasks = page["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["task_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&page), ["broken", "late", "long"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, rest) = it.json(&format!("/tasks?cursor={cursor}"), &[]);
    assert_eq!((ids(&rest), &rest["next_cursor"]), (vec!["nowhere".to_owned()], &Value::Null));
}

#[test]
fn a_task_is_not_run_again_while_it_is_active_or_completed_unless_forced() {
    let Some(it) = Controller::start(&["--slots", "0"]) else { return };
    check_sent_again(&it);
}

#[test]
fn tasks_of_a_dispatcher_on_postgresql_are_kept_in_the_same_way() {
    let database = Database::empty();
    let url = database.url();
    let migrated = sandbox().errand(["migrate", "--database", &url]).run();
    drop(migrated.ok());
    let Some(it) = Controller::start(&["--slots", "0", "--database", &url]) else { return };
    check_sent_again(&it);
}

/// Checks the answers to tasks that are sent again, under one id and under others.
fn check_sent_again(it: &Controller) {
    let task = it.task("one", "true");
    assert_eq!(it.post(&task).0, 202);
    assert_eq!(it.post(&task).0, 200, "the same id and configuration");
    let mut other = task.clone();
    other["task_id"] = json!("two");
    let (status, stands_in) = it.post(&other);
    assert_eq!(
        (status, &stands_in["task_id"]),
        (200, &json!("two")),
        "another id of the same task"
    );
    assert_eq!(it.status("two"), "QUEUED");
    assert_eq!(it.runs().len(), 1);
    other["env"]["MORE"] = json!("1");
    let (status, refused) = it.post(&other);
    assert_eq!((status, &refused["code"]), (409, &json!("task_conflict")));
    other["env"] = task["env"].clone();
    other["force"] = json!(true);
    other["task_id"] = json!("three");
    assert_eq!((it.post(&other).0, it.runs().len()), (202, 2), "by force, although one is active");
    // By force under an id of its own: the earlier run makes room.
    let mut forced = task.clone();
    forced["force"] = json!(true);
    assert_eq!((it.post(&forced).0, it.runs().len()), (202, 3));
    let live = it.runs().iter().filter(|run| run["status"] == "pending").count();
    assert_eq!(live, 2);
    // Cancelled and failed tasks may be sent again.
    assert_eq!(it.json("/tasks/three/cancel", &["-X", "POST"]).1["status"], "CANCELLED");
    assert_eq!(it.json("/tasks/one/cancel", &["-X", "POST"]).1["status"], "CANCELLED");
    assert_eq!((it.post(&task).0, it.runs().len()), (202, 4));
    assert_eq!(it.status("two"), "CANCELLED", "the other id is of the run that stood in");
    assert_eq!(it.json("/tasks/one/cancel", &["-X", "POST"]).1["status"], "CANCELLED");
    let removed = it.runs()[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(it.curl(&format!("/v1/runs/{removed}"), &["-X", "DELETE"]).0, 204);
    assert_eq!(it.json("/tasks/one", &[]).1["code"], "task_not_found");
    assert_eq!(it.post(&task).0, 202);
}

#[test]
fn the_end_of_a_task_is_reported_with_its_bearer_until_the_receiver_takes_it() {
    let Some(it) = Controller::start(&[]) else { return };
    let receiver = Receiver::start();
    receiver.react([Reaction::status(503)]);
    let made = json!({ "url": receiver.url("/") }).to_string();
    let secret = it.json("/v1/callback-targets", &["--json", &made]).1["secret"].clone();
    let mut task = it.task("told", "exit 4");
    task["callback_url"] = json!(receiver.url("/tasks/told/callback/"));
    task["callback_token"] = json!("the-bearer-of-this-task");
    assert_eq!(it.post(&task).0, 202);
    let failed = it.wait("told", "FAILED");
    let reports = receiver.wait_for(2);
    for report in &reports {
        assert_eq!(report.line, "POST /tasks/told/callback/ HTTP/1.1");
        assert_eq!(report.header("authorization"), "Bearer the-bearer-of-this-task");
        assert_eq!(serde_json::from_slice::<Value>(&report.body).unwrap(), failed);
        let secret = SigningSecret::parse(secret.as_str().unwrap()).unwrap();
        let timestamp = report.header("webhook-timestamp").parse().unwrap();
        let signing = Signing { id: report.header("webhook-id"), timestamp, body: &report.body };
        assert_eq!(report.header("webhook-signature"), secret.sign(signing));
    }
    assert_eq!(reports[0].header("webhook-id"), reports[1].header("webhook-id"));
    let found = it.sandbox.tool("/bin/grep", ["-rl", "the-bearer-of-this-task"]);
    assert_eq!(
        found.arg(it.sandbox.registry()).run().stdout(),
        "",
        "no file has the token in clear"
    );

    // The sender of another id of a completed task is told, too, with its own bearer.
    let mut well = it.task("well", "true");
    assert_eq!(it.post(&well).0, 202);
    it.wait("well", "COMPLETED");
    well["task_id"] = json!("as-well");
    well["callback_url"] = json!(receiver.url("/as-well"));
    well["callback_token"] = json!("another-bearer");
    assert_eq!(it.post(&well).0, 200);
    let reports = receiver.wait_for(3);
    let (report, body) = (&reports[2], serde_json::from_slice::<Value>(&reports[2].body).unwrap());
    assert_eq!(report.header("authorization"), "Bearer another-bearer");
    assert_eq!((&body["task_id"], &body["status"]), (&json!("as-well"), &json!("COMPLETED")));
}

#[test]
fn what_a_dispatcher_cannot_carry_out_is_refused_and_leaves_nothing() {
    let Some(it) = Controller::start(&["--slots", "0"]) else { return };
    let cases = [
        (json!({}), 400, "request_invalid", "/agent_image"),
        (json!({ "agent_image": "a b" }), 400, "request_invalid", "/agent_image"),
        (json!({ "task_id": "a/b" }), 400, "request_invalid", "/task_id"),
        (json!({ "resources": { "memory": "2GB" } }), 400, "request_invalid", "/resources/memory"),
        (json!({ "resources": { "cpu": "many" } }), 400, "request_invalid", "/resources/cpu"),
        (json!({ "resources": { "gpu": "1" } }), 400, "request_invalid", "/resources/gpu"),
        (
            json!({ "ports": [{ "container_port": 80 }, { "container_port": 80 }] }),
            400,
            "request_invalid",
            "/ports/1",
        ),
        (json!({ "ports": [{ "container_port": 0 }] }), 400, "request_invalid", ""),
        (json!({ "env": { "A-B": "1" } }), 400, "request_invalid", "/env/A-B"),
        (json!({ "timeout_seconds": 0 }), 400, "request_invalid", "/timeout_seconds"),
        (json!({ "callback_url": "ftp://a/" }), 422, "callback_refused", "/callback_url"),
        (json!({ "callback_token": "x" }), 400, "request_invalid", "/callback_token"),
        (json!({ "runtime_target": { "type": "vm" } }), 400, "request_invalid", ""),
        (
            json!({ "runtime_target": { "type": "k8s", "namespace": "agents" } }),
            400,
            "request_invalid",
            "/command",
        ),
        (json!({ "what": 1 }), 400, "request_invalid", "/what"),
    ];
    for (change, status, code, pointer) in cases {
        let mut task = json!({ "task_id": "bad", "agent_image": "a" });
        task.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        if change == json!({}) {
            task.as_object_mut().unwrap().remove("agent_image");
        }
        let (found, problem) = it.post(&task);
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{task}: {problem}");
        let at = problem["pointer"].as_str().unwrap_or_default();
        assert!(pointer.is_empty() || at == pointer, "{task}: {problem}");
        let explained = it.sandbox.errand(["explain", code]).run().ok();
        assert!(explained.stdout().contains("What to do"), "{code} has a page");
    }
    assert_eq!(it.json("/tasks", &[]), (200, json!({ "tasks": [], "next_cursor": null })));
    assert_eq!(all(&it.sandbox), Vec::<Value>::new());
    let (status, problem) = it.json("/tasks/none", &[]);
    assert_eq!((status, &problem["code"]), (404, &json!("task_not_found")));
    let remote = it.sandbox.errand(["dispatcher", "--engine", "tcp://10.0.0.1:2375"]).run();
    assert!(remote.stderr().contains("is no socket of this machine"), "{}", remote.stderr());
}

#[test]
fn tasks_want_a_key_with_the_scope_of_runs_and_no_other_server_has_them() {
    let Some(it) = Controller::start(&["--slots", "0"]) else { return };
    let key = |scope: &str| {
        let words = ["keys", "create", "--json", "--name", scope, "--scope", scope];
        let made: Value = it.sandbox.errand(words).run().ok().json();
        format!("Authorization: Bearer {}", made["key"].as_str().unwrap())
    };
    let (reads, writes) = (key("runs:read"), key("runs:write"));
    let task = it.task("locked", "true").to_string();
    wait_until("the door is locked", LIMIT, || it.json("/tasks", &[]).0 == 401);
    assert_eq!(it.json("/tasks", &["--json", &task]).1["code"], "key_missing");
    let refused = it.json("/tasks", &["-H", &reads, "--json", &task]);
    assert_eq!((refused.0, &refused.1["code"]), (403, &json!("scope_missing")));
    assert_eq!(it.json("/tasks", &["-H", &writes, "--json", &task]).0, 202);
    assert_eq!(it.json("/tasks/locked", &["-H", &reads]).0, 200);
    assert_eq!(it.json("/tasks/locked/cancel", &["-X", "POST", "-H", &reads]).0, 403);

    let other = sandbox();
    let server = ErrandServer::start(&other, &["--slots", "0"]);
    assert_eq!(server.get("/tasks").status, 404, "an ordinary server runs no images of callers");
}

#[test]
fn a_restart_of_the_dispatcher_in_any_state_loses_no_task_and_doubles_none() {
    let Some(it) = Controller::start(&["--slots", "0"]) else { return };
    let receiver = Receiver::start();
    // Each run of the script leaves a mark in its workspace; it ends when it is told to.
    let script = "echo mark; until [ -e go ]; do sleep 0.1; done";
    let mut task = it.task("kept", script);
    task["callback_url"] = json!(receiver.url("/kept"));
    assert_eq!(it.post(&task).0, 202);
    // Killed while the task is queued.
    let it = it.restart(|server| server.process().kill());
    assert_eq!(it.post(&task).0, 200, "it is there");
    it.wait("kept", "RUNNING");
    // Killed, then ended, while the task runs.
    let it = it.restart(|server| server.process().kill());
    it.wait("kept", "RUNNING");
    assert_eq!(it.post(&task).0, 200);
    let it = it.restart(|server| server.process().terminate());
    it.wait("kept", "RUNNING");
    let run = all(&it.sandbox).remove(0);
    let own = format!("dev.errand.run={}", run["run_id"].as_str().unwrap());
    wait_until("one container is left", LIMIT, || it.podman.with_label(&own).len() == 1);
    let workspace = run["attempts"][0]["workspace"]["path"].as_str().unwrap();
    std::fs::write(format!("{workspace}/go"), "").unwrap();
    it.wait("kept", "COMPLETED");
    assert_eq!(all(&it.sandbox).len(), 1, "one run, however often it was sent");
    // Killed while the report is under way, or just done.
    let it = it.restart(|server| server.process().kill());
    let reports = receiver.wait_for(1);
    let ids: BTreeSet<_> = reports.iter().map(|report| report.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "a report that is sent twice has one id");
    assert_eq!(it.status("kept"), "COMPLETED");
    assert_eq!(it.post(&task).0, 200);
}
