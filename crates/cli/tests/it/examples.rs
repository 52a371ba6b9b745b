//! The examples, as their READMEs describe them.

use std::path::{Path, PathBuf};
use std::process::Command;

use errand_testkit::podman::Podman;
use errand_testkit::redis::RedisServer;
use errand_testkit::{HttpRequest, LIMIT, Sandbox, wait_for};

use crate::support::{all, record, sandbox};

fn example(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    PathBuf::from(root).join(name)
}

/// Returns the words of a command with an example's path as the second.
fn words<'a>(command: &'a str, path: &'a Path, more: &[&'a str]) -> Vec<&'a std::ffi::OsStr> {
    let mut words = vec![command.as_ref(), path.as_os_str()];
    words.extend(more.iter().map(|word| std::ffi::OsStr::new(*word)));
    words
}

/// Makes a repository whose last commit is worth a comment.
fn repository(sandbox: &Sandbox) {
    sandbox.git_init();
    sandbox.write("app.py", "def main():\n    return 1\n");
    sandbox.commit_all("first");
    sandbox.write("app.py", "def main():\n    breakpoint()\n    return 1\n");
    sandbox.write("notes.txt", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n");
    sandbox.commit_all("second");
}

#[test]
fn the_code_review_reviews_the_last_commit_and_leaves_no_trace_in_it() {
    let sandbox = sandbox();
    repository(&sandbox);
    let agent = example("code-review");
    let output = sandbox.errand(words("run", &agent, &[])).run().ok();
    assert!(output.stdout().contains("verdict: block"), "{}", output.describe());

    let run = all(&sandbox).remove(0);
    assert_eq!(run["status"], "completed");
    assert_eq!(run["output"]["counts"]["high"], 2);
    assert_eq!(run["output"]["counts"]["medium"], 1);
    assert_eq!(run["artifacts"][0]["name"], "review.md");
    assert_eq!(run["counters"]["steps"], 3);
    assert_eq!(sandbox.git(["status", "--porcelain"]), "");
}

#[test]
fn the_code_review_takes_a_range_or_a_diff() {
    let sandbox = sandbox();
    repository(&sandbox);
    let agent = example("code-review");
    let range = sandbox.errand(words("run", &agent, &["--job", "HEAD~1..HEAD"])).run().ok();
    assert!(range.stdout().contains("reviewing the range HEAD~1..HEAD: 2 files"));
    let diff = sandbox.git(["diff", "HEAD~1"]);
    let piped = sandbox.errand(words("run", &agent, &["--job", "-"])).stdin(diff).run().ok();
    assert!(piped.stdout().contains("reviewing the diff that was passed in: 2 files"));
    let gate = r#"{"fail_on":"high"}"#;
    let failed = sandbox.errand(words("run", &agent, &["--job", gate])).run().exits(1);
    assert!(failed.stdout().contains("verdict: block"));
    let unknown = sandbox.errand(words("run", &agent, &["--job", "no-such-branch"])).run().exits(2);
    assert!(unknown.stderr().contains("there is no commit"), "{}", unknown.describe());
}

#[test]
fn the_code_review_reads_all_files_where_there_is_no_history() {
    let sandbox = sandbox();
    sandbox.git_init();
    sandbox.write("data.json", "{ not json }\n");
    let agent = example("code-review");
    let output = sandbox.errand(words("run", &agent, &[])).run().ok();
    assert!(output.stdout().contains("a repository without history: 1 files"));
    assert!(output.stdout().contains("does not parse"));
}

#[test]
fn steps_of_the_shell_example_run_once_although_the_run_was_restarted() {
    let sandbox = sandbox();
    let agent = example("shell-steps");
    let started = sandbox.errand(words("run", &agent, &["-d", "--job", "4"])).run().ok();
    let run_id = started.stdout_line();
    wait_for("the first sample was taken", LIMIT, || {
        let log = sandbox.errand(["logs", &run_id]).run().ok().stdout();
        log.contains("sample 1 of 4").then_some(())
    });
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    drop(sandbox.errand(["wait", &run_id]).run().ok());

    let log = sandbox.errand(["logs", &run_id]).run().ok().stdout();
    assert!(log.contains("attempt 2 of run"), "{log}");
    let mut completed: Vec<String> = sandbox
        .errand(["events", &run_id, "--json"])
        .run()
        .ok()
        .json_lines()
        .iter()
        .filter(|event| event["type"] == "step.completed")
        .map(|event| event["data"]["key"].as_str().unwrap().to_owned())
        .collect();
    completed.sort();
    let expected = ["cores", "disk", "kernel", "load-1", "load-2", "load-3", "load-4", "memory"];
    assert_eq!(completed, expected);
    let run = record(&sandbox, &run_id);
    assert_eq!(run["output"]["samples"], 4);
    assert_eq!(run["artifacts"][0]["name"], "report.md");
    drop(sandbox.errand(["verify", &run_id]).run().ok());
}

#[test]
fn the_monitor_remembers_what_it_saw_in_earlier_wakes() {
    let sandbox = sandbox();
    let agent = example("heartbeat-monitor");
    let every_second = ["-d", "--schedule", "* * * * * *"];
    let started = sandbox.errand(words("serve", &agent, &every_second)).run().ok();
    let service = started.stdout_line();
    wait_for("a wake has seen everything twice", LIMIT, || {
        let runs = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
        let wakes = runs.as_array().unwrap();
        let logs = wakes
            .iter()
            .filter(|run| run["parent_run_id"] == service.as_str())
            .map(|run| sandbox.errand(["logs", run["run_id"].as_str().unwrap()]).run().stdout());
        logs.into_iter().any(|log| log.contains("(for 2 looks)")).then_some(())
    });
    drop(sandbox.errand(["stop", &service]).run().ok());
    assert_eq!(record(&sandbox, &service)["status"], "cancelled");
}

#[test]
fn the_triage_example_is_woken_by_a_request_with_its_secret() {
    let mut sandbox = sandbox();
    sandbox.set_env("WEBHOOK_SECRET", "correct horse battery staple");
    let agent = example("webhook-triage");
    let any_port = ["-d", "--listen", "127.0.0.1:0"];
    let service = sandbox.errand(words("serve", &agent, &any_port)).run().ok().stdout_line();
    let address = wait_for("the listener is bound", LIMIT, || {
        let run = record(&sandbox, &service);
        run["operation"]["listeners"][0]["bound_addr"].as_str().map(ToOwned::to_owned)
    });
    let issue =
        r#"{"issue": {"title": "Crash with data loss in production", "body": "Traceback"}}"#;
    let request = HttpRequest::post("/hook", issue);
    assert_eq!(request.send(&address).status, 401);
    let known = request.header("x-errand-secret", "correct horse battery staple");
    let answer = known.send(&address);
    assert_eq!(answer.status, 202, "{answer:?}");

    let runs = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    let runs = runs.as_array().unwrap();
    let wake = runs.iter().find(|run| run["parent_run_id"] == service.as_str()).unwrap();
    assert_eq!(wake["trigger"]["type"], "webhook");
    assert_eq!(wake["output"]["kind"], "bug");
    assert_eq!(wake["output"]["priority"], "P1");
    assert_eq!(wake["artifacts"][0]["name"], "verdict.json");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn the_chat_remembers_a_list_for_each_session() {
    let sandbox = sandbox();
    let agent = example("chat-memory");
    let say = |session: &str, text: &str| {
        let more = ["--session", session, "--job", text];
        sandbox.errand(words("run", &agent, &more)).run().ok().stdout()
    };
    assert_eq!(say("alice", "add milk"), "add: milk; 1 on the list\n");
    let ids: Vec<String> = (1..=3)
        .map(|n| {
            let text = format!("add item-{n}");
            let more = ["-d", "--session", "alice", "--job", &text];
            sandbox.errand(words("run", &agent, &more)).run().ok().stdout_line()
        })
        .collect();
    drop(sandbox.errand(["wait"]).args(&ids).run().ok());
    assert_eq!(say("alice", "list"), "milk, item-1, item-2, item-3\n");
    assert_eq!(say("bob", "list"), "the list is empty\n");
    let history = say("alice", "history");
    let expect = "10 messages so far\nuser: add milk\nassistant: add: milk; 1 on the list\n";
    assert!(history.starts_with(expect), "{history}");
    let folder = agent.to_str().unwrap();
    let count = format!("count {folder}");
    assert!(
        say("alice", &count).contains("3 files") && say("alice", &count).contains("remembered")
    );
    assert!(say("bob", &count).contains("counted in"), "another session knows nothing of it");
    let alone = sandbox.errand(words("run", &agent, &["--job", "list"])).run().exits(1);
    assert!(alone.stderr().contains("run it with --session"), "{}", alone.describe());
}

#[test]
fn the_deployment_waits_for_its_approval_without_a_process() {
    let sandbox = sandbox();
    let agent = example("deploy-with-approval");
    let deploy = |target| {
        let words = words("run", &agent, &["-d", "--job", target]);
        let run_id = sandbox.errand(words).run().ok().stdout_line();
        wait_for("it is parked", LIMIT, || {
            let record = record(&sandbox, &run_id);
            (record["status"] == "paused" && record["pid"].is_null()).then_some(())
        });
        run_id
    };
    let run_id = deploy("production");
    assert_eq!(errand_testkit::processes_of_run(&run_id), []);
    let words = ["approve", &run_id, "--comment", "go on"];
    drop(sandbox.errand(words).run().ok());
    wait_for("it asks for the share", LIMIT, || {
        let listed = sandbox.errand(["approvals", "ls"]).run().ok().stdout();
        listed.contains("percent of production").then_some(())
    });
    let refused = sandbox.errand(["input", &run_id, "250"]).run().exits(2);
    assert!(refused.stderr().contains("maximum"), "{}", refused.describe());
    drop(sandbox.errand(["input", &run_id, "25"]).run().ok());
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    let run = record(&sandbox, &run_id);
    assert_eq!(run["output"]["percent"], 25);
    assert_eq!(run["counters"]["steps"], 2, "it was built once and deployed once");
    assert!(sandbox.registry().join("state/deploy-with-approval/production/release.txt").exists());

    let run_id = deploy("staging");
    drop(sandbox.errand(["reject", &run_id]).run().ok());
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    assert_eq!(record(&sandbox, &run_id)["output"]["deployed"], false);
}

/// Returns the coordinator's record among all runs.
fn coordinated(sandbox: &Sandbox, agent: &str) -> serde_json::Value {
    let runs = all(sandbox);
    runs.iter().find(|run| run["agent"]["name"] == agent).unwrap().clone()
}

#[test]
fn the_research_team_has_its_report_validated_before_it_ends() {
    let sandbox = sandbox();
    let agent = example("research-team");
    drop(sandbox.errand(words("validate", &agent, &[])).run().ok());
    drop(sandbox.errand(words("run", &agent, &[])).run().ok());
    let run = coordinated(&sandbox, "research-team");
    assert_eq!(run["status"], "completed", "{run:#}");
    assert_eq!(run["output"]["drafts"], 2);
    let report = run["output"]["report"].as_str().unwrap();
    let line = "- The first estimate was 42 million. [council]";
    assert!(report.lines().any(|it| it == line), "{report}");

    let run_id = run["run_id"].as_str().unwrap();
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    let said: Vec<String> = events
        .iter()
        .filter(|event| event["type"] == "message.sent")
        .map(|event| {
            let word = |name: &str| event["data"][name].as_str().unwrap().to_owned();
            format!("{} {} {}", word("from"), word("type"), word("to"))
        })
        .collect();
    let expected = [
        "__start__ TASK researcher",
        "researcher TASK analyst",
        "analyst RESULT writer",
        "writer VALIDATION analyst",
        "analyst RESULT writer",
        "writer VALIDATION analyst",
        "analyst RESULT writer",
        "writer RESULT __end__",
    ];
    assert_eq!(said, expected);
    // A single process of the writer received both verdicts.
    let writers = all(&sandbox).iter().filter(|run| run["agent"]["name"] == "writer").count();
    assert_eq!(writers, 1);
    drop(sandbox.errand(["verify", "--all"]).run().ok());
}

#[test]
fn the_research_team_searches_the_texts_that_it_is_given() {
    let sandbox = sandbox();
    sandbox.write("texts/bridge.txt", "The bridge was built in 1931. It is green.");
    let folder = sandbox.path("texts");
    let question =
        serde_json::json!({ "question": "When was the bridge built?", "folder": folder });
    let agent = example("research-team");
    drop(sandbox.errand(words("run", &agent, &["--job", &question.to_string()])).run().ok());
    let run = coordinated(&sandbox, "research-team");
    let report = "# When was the bridge built?\n\n- The bridge was built in 1931. [bridge]\n";
    assert_eq!(run["output"]["report"], report);
}

#[test]
fn a_text_is_translated_by_three_agents_at_once() {
    let sandbox = sandbox();
    let agent = example("translate");
    drop(sandbox.errand(words("run", &agent, &["--job", "Good water and bread"])).run().ok());
    let expected = serde_json::json!({
        "french": { "text": "Bon eau et pain" },
        "german": { "text": "Gut Wasser und Brot" },
        "spanish": { "text": "Bueno agua y pan" },
    });
    assert_eq!(coordinated(&sandbox, "translate")["output"], expected);
}

#[test]
fn a_table_goes_through_a_chain_of_agents() {
    let sandbox = sandbox();
    let agent = example("csv-report");
    let table = "item,count\napples,3\npears,x\napples,4\n";
    drop(sandbox.errand(words("run", &agent, &["--job", "-"])).stdin(table).run().ok());
    let expected = serde_json::json!({ "refused": 1, "rows": 3, "sums": { "apples": 7 } });
    assert_eq!(coordinated(&sandbox, "csv-report")["output"], expected);
}

/// Makes the root folder and the archive of an image with Python and git of this machine. `$1` is the
/// folder for it.
const PYTHON_IMAGE: &str = "set -e; root=\"$1/root\"; mkdir -p \"$root\"; \
     copy() { mkdir -p \"$root$(dirname \"$1\")\"; cp -aL \"$1\" \"$root$1\"; }; \
     for program in /usr/bin/python3 /usr/bin/git; do copy $program; \
       for library in $(ldd $(readlink -f $program) | grep -o '/[^ ]*'); do \
         [ -e \"$root$library\" ] || copy $library; done; done; \
     version=$(/usr/bin/python3 -c 'import sys; print(\"python3.%d\" % sys.version_info[1])'); \
     mkdir -p \"$root/usr/lib\" \"$root/bin\" \"$root/etc\" \"$root/tmp\" \"$root/proc\" \
       \"$root/dev\" \"$root/sys\"; \
     cp -a /usr/lib/$version \"$root/usr/lib/$version\"; cp /bin/busybox \"$root/bin/busybox\"; \
     for name in sh env cat; do ln -sf busybox \"$root/bin/$name\"; done; \
     echo root:x:0:0:root:/:/bin/sh > \"$root/etc/passwd\"; tar -C \"$root\" -cf \"$1/base.tar\" .";

/// Builds the image of the example by its Containerfile, on a base that is made of programs of this
/// machine. Returns false, with a line on stderr, on a machine without them.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn has_review_image(podman: &Podman) -> bool {
    for program in ["/usr/bin/python3", "/usr/bin/git"] {
        if !Path::new(program).exists() {
            eprintln!("SKIPPED: no image for the review without {program}");
            return false;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("/bin/sh").args(["-c", PYTHON_IMAGE, "sh"]).arg(folder.path()).status();
    assert!(made.unwrap().success(), "the base image cannot be made");
    let (base, archive) = ("localhost/review-base:1", folder.path().join("base.tar"));
    let _imported = podman.run(&["import", archive.to_str().unwrap(), base]);
    let containerfile = example("container-review").join("Containerfile");
    let (containerfile, sources) = (containerfile.to_str().unwrap(), example("code-review"));
    let base = format!("BASE={base}");
    let tag = "localhost/container-review:1";
    let build =
        ["build", "--network", "none", "--build-arg", &base, "-t", tag, "-f", containerfile];
    let _built = podman.run(&[&build[..], &[sources.to_str().unwrap()]].concat());
    true
}

#[test]
fn the_container_review_reviews_the_last_commit_in_a_container_without_a_network() {
    let Some(podman) = Podman::shared() else { return };
    if !has_review_image(&podman) {
        return;
    }
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    repository(&sandbox);
    let agent = example("container-review");
    let output = sandbox.errand(words("run", &agent, &[])).run().ok();
    assert!(output.stdout().contains("verdict: block"), "{}", output.describe());
    let run = all(&sandbox).remove(0);
    assert_eq!(run["status"], "completed");
    assert_eq!(run["output"]["counts"]["high"], 2);
    assert_eq!(run["artifacts"][0]["name"], "review.md");
    assert_eq!(run["counters"]["steps"], 3);
    assert_eq!(run["attempts"][0]["target"], "container");
    assert_eq!(sandbox.git(["status", "--porcelain"]), "");
}

#[test]
fn three_runs_with_skills_and_a_service_come_back_from_a_dispatcher() {
    let Some(podman) = Podman::shared() else { return };
    three_runs_come_back(sandbox(), &podman);
}

#[test]
fn three_runs_with_skills_and_a_service_come_back_from_a_dispatcher_on_a_bus() {
    let (Some(podman), Some(redis)) = (Podman::shared(), RedisServer::start()) else { return };
    let mut sandbox = sandbox();
    sandbox.set_env("REDIS_URL", redis.url());
    three_runs_come_back(sandbox, &podman);
    // A stream is trimmed by whole nodes of a hundred entries: the messages are still there.
    assert_eq!(redis.number(&["XLEN", "errand:tasks"]), 3);
}

fn three_runs_come_back(mut sandbox: Sandbox, podman: &Podman) {
    sandbox.set_env("DOCKER_HOST", podman.address());
    sandbox.set_env("IMAGE", errand_testkit::podman::IMAGE);
    let programs = Path::new(env!("CARGO_BIN_EXE_errand")).parent().unwrap();
    sandbox.set_env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()));
    let script = example("dispatch").join("demo.sh");
    let shown = sandbox.tool("/bin/sh", [script]).run().ok().stdout();
    for name in ["Ada", "Grace", "Edsger"] {
        let note = format!("Good morning, {name}! Yours faithfully (http://127.0.0.1:");
        // As output, as an artifact, and in the last event of the task.
        assert_eq!(shown.matches(&note).count(), 3, "{shown}");
    }
    assert_eq!(shown.matches("run.completed").count(), 3, "{shown}");
    assert_eq!(shown.matches("unbroken, sealed").count(), 3, "{shown}");
}
