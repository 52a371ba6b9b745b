//! Runs whose agents are in a sandbox: everything that a process agent can do, they can do.

use std::path::PathBuf;

use errand_testkit::{
    LIMIT, Reaction, Receiver, Sandbox, TestAgent, can_sandbox, is_alive, wait_until,
};
use serde_json::{Value, json};

use crate::support::{
    assert_over, finish, kill, log, pid, record, sandbox, start, start_ready, wait_for_record,
};

/// Sandbox of an agent that reaches nothing but its own files and errand.
const CLOSED: &str = "target: { type: process, sandbox: { filesystem: workspace, network: none } }";

/// Writes an agent that runs a shell script in a sandbox; returns its folder.
fn agent(sandbox: &Sandbox, script: &str) -> PathBuf {
    sandbox.agent(&TestAgent::shell(script).spec(CLOSED).spec("retry_policy: { max_retries: 1 }"))
}

#[test]
fn an_agent_in_a_sandbox_takes_steps_saves_and_delivers() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("repo-secret", "not for the agent");
    let script = "errand agent step one -- sh -c 'echo step'\n\
                  errand agent checkpoint '{\"page\": 7}'\n\
                  echo kept > \"$ERRAND_STATE_DIR/kept\"\n\
                  echo file > report.txt && errand agent artifact report.txt\n\
                  cat \"$ERRAND_AGENT_DIR/agent.yaml\" > /dev/null\n\
                  ls \"$ERRAND_ROOT/runs\" | wc -l\n\
                  cat \"$HOME/../repo/repo-secret\" || echo no secret\n\
                  echo '\"done\"' > \"$ERRAND_OUTPUT\"\n";
    let run_id = start(&sandbox, &agent(&sandbox, script), &[]);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{}", record["last_error"]);
    assert_eq!(record["output"], "done", "{record}");
    assert_eq!(record["artifacts"][0]["name"], "report.txt", "{record}");
    let printed = log(&sandbox, &run_id);
    assert!(printed.contains("no secret"), "{printed}");
    assert_over(&sandbox, &run_id);
    let bom = sandbox.errand(["bom", &run_id]).run().ok().stdout();
    assert!(bom.contains("target:network"), "{bom}");
    let left = sandbox.registry().join(format!("runs/{run_id}.d/sandbox"));
    assert!(!left.exists(), "its own folders are gone");
}

#[test]
fn a_killed_helper_takes_its_sandbox_along_and_the_next_attempt_continues() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    let script = "errand agent step once -- sh -c 'echo took >> \"$ERRAND_STATE_DIR/taken\"'\n\
                  [ \"$ERRAND_ATTEMPT\" = 2 ] && { cat \"$ERRAND_STATE_DIR/taken\"; exit 0; }\n\
                  echo ready\nexec sleep 600\n";
    let run_id = start_ready(&sandbox, &agent(&sandbox, script));
    let running = record(&sandbox, &run_id);
    let leader = pid(&running["attempts"][0]["pid"]);
    kill(&running["pid"]);
    wait_until("the agent dies with its helper", LIMIT, || !is_alive(leader));
    let ended = finish(&sandbox, &run_id);
    assert_eq!((&ended["status"], &ended["attempt"]), (&json!("completed"), &json!(2)), "{ended}");
    assert_eq!(log(&sandbox, &run_id).matches("took").count(), 1);
}

#[test]
fn an_agent_in_a_sandbox_is_paused_resumed_and_stopped() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    let script = "trap 'echo asked; exit 3' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    let run_id = start_ready(&sandbox, &agent(&sandbox, script));
    drop(sandbox.errand(["pause", &run_id]).run().ok());
    wait_for_record(&sandbox, &run_id, "it is frozen", |record| record["status"] == "paused");
    drop(sandbox.errand(["resume", &run_id]).run().ok());
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "cancelled");
    assert!(log(&sandbox, &run_id).contains("asked"), "it was asked to end");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_command_in_a_sandbox_reaches_its_model_and_nothing_else() {
    if !can_sandbox() {
        return;
    }
    let mut sandbox = sandbox();
    sandbox.set_env("OPENAI_API_KEY", "sk-provider-key-0123456789");
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 });
    let answer = json!({ "id": "c1", "model": "gpt-4o", "choices": [], "usage": usage });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let provider = Receiver::start();
    provider.react([Reaction::Answer(200, headers, answer.to_string())]);
    sandbox.write(
        "client.py",
        "import json, os, urllib.request\n\
         body = json.dumps({'model': 'gpt-4o', 'messages': [{'role': 'user', 'content': 'hi'}]})\n\
         key = {'authorization': 'Bearer ' + os.environ['OPENAI_API_KEY'], 'content-type': 'application/json'}\n\
         def post(base):\n    \
             request = urllib.request.Request(base + '/chat/completions', body.encode(), key)\n    \
             return json.load(urllib.request.urlopen(request))['id']\n\
         print(post(os.environ['OPENAI_BASE_URL']))\n\
         try: print(post(os.environ['DIRECT']))\n\
         except OSError: print('no other way')\n",
    );
    let direct = provider.url("/v1");
    let given = format!("openai=OPENAI_API_KEY,base_url={direct}");
    let words = ["run", "--provider", &given, "--sandbox", "workspace,network=none", "--", "env"];
    let output = sandbox
        .errand(words)
        .args([&format!("DIRECT={direct}"), "python3", "client.py"])
        .run()
        .ok();
    assert_eq!(output.stdout(), "c1\nno other way\n");
    assert_eq!(provider.received().len(), 1, "one call, by errand");
    let newest: Value = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    assert_eq!(newest[0]["usage"]["input_tokens"], 3, "{newest}");
}

#[test]
fn a_sandbox_that_cannot_be_is_refused_before_the_run_exists() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    let command = |value: &str| {
        let output = sandbox.errand(["run", "--sandbox", value, "--", "true"]).run();
        assert_ne!(output.code, Some(0));
        output.stderr()
    };
    let missing = command("workspace,read=/no/such");
    assert!(missing.contains("sandbox_unavailable"), "{missing}");
    assert!(missing.contains("/no/such"), "{missing}");
    let unknown = command("everything");
    assert!(unknown.contains("host, read_only, workspace"), "{unknown}");
    let climbing = command("workspace,write=../other");
    assert!(climbing.contains("cannot be shown to a sandbox"), "{climbing}");
    assert_eq!(sandbox.errand(["ps", "-a", "--json"]).run().ok().json(), json!([]));
}

#[test]
fn the_registry_is_no_part_of_the_repository_of_an_agent_in_a_sandbox() {
    if !can_sandbox() {
        return;
    }
    for filesystem in ["workspace", "read_only"] {
        let sandbox = sandbox();
        sandbox.git_init();
        sandbox.write("one.txt", "1");
        sandbox.commit_all("first");
        // What the agent's root has lies below the registry while it is built.
        let script = "git status --porcelain && find .errand -path '*/sandbox/*' | head -n 5";
        let words = ["run", "--sandbox", filesystem, "--", "sh", "-c", script];
        let ran = sandbox.errand(words).run().ok();
        assert_eq!(ran.stdout(), "", "{}", ran.describe());
    }
}
