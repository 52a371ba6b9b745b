//! Approvals and questions of agents that wait with their process.

use errand_testkit::{LIMIT, ProgramOutput, Sandbox, TestAgent, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{
    assert_over, event_types, finish, log, open_gate, record, sandbox, start, wait_for_record,
};

/// Returns the output of `errand approvals ls --json`.
pub(crate) fn open(sandbox: &Sandbox) -> Value {
    sandbox.errand(["approvals", "ls", "--json"]).run().ok().json()
}

/// Returns the output of `errand approvals ls -a --json`.
pub(crate) fn every(sandbox: &Sandbox) -> Value {
    sandbox.errand(["approvals", "ls", "-a", "--json"]).run().ok().json()
}

/// Waits until the run is paused; returns the record.
pub(crate) fn paused(sandbox: &Sandbox, run_id: &str) -> Value {
    wait_for_record(sandbox, run_id, "the run is paused", |record| record["status"] == "paused")
}

/// Panics unless the command was refused with that code; returns its stderr.
#[track_caller]
pub(crate) fn refused(output: &ProgramOutput, code: &str) -> String {
    assert_ne!(output.code, Some(0), "{}", output.describe());
    let stderr = output.stderr();
    assert!(stderr.contains(&format!("error[{code}]")), "{}", output.describe());
    stderr
}

const ASK: &str = "errand agent approve --action deploy --target production";

/// Returns an agent that asks once, and prints the decision.
fn asker(more: &str) -> TestAgent {
    TestAgent::shell(&format!("set +e\n{ASK} {more} > d.json\necho \"code $?\"\ncat d.json\n"))
}

/// Returns the exit code and the decision that [`asker`] printed.
fn heard(sandbox: &Sandbox, run_id: &str) -> (i64, Value) {
    let output = sandbox.errand(["logs", run_id]).run().ok().stdout();
    let mut lines = output.lines();
    let code = lines.next().unwrap().strip_prefix("code ").unwrap().parse().unwrap();
    (code, serde_json::from_str(lines.next().unwrap()).unwrap())
}

#[test]
fn a_waiting_agent_continues_when_it_is_approved() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&asker("--summary 'release 7' --timeout 10m").named("deployer"));
    let run_id = start(&sandbox, &agent, &["--name", "friday"]);
    let waiting = paused(&sandbox, &run_id);
    assert_eq!(waiting["approvals"][0]["status"], "open", "{waiting:#}");
    assert_eq!(waiting["process_status"], "running");
    let ps = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("paused, waits for approval of deploy (deadline in 9 minutes)"), "{ps}");

    let listed = sandbox.errand(["approvals", "ls"]).run().ok().stdout();
    for word in [&run_id, "deployer", "deploy", "production", "release 7", "in 9 minutes"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    let listed = open(&sandbox);
    assert_eq!(listed["approvals"][0]["run_id"], run_id.as_str());
    assert_eq!(listed["approvals"][0]["run_name"], "friday");
    let id = listed["approvals"][0]["approval_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("apr_") && id.len() == 20, "{id}");

    let words = ["approve", "friday", "--comment", "go on", "--by", "ada"];
    assert_eq!(sandbox.errand(words).run().ok().stdout_line(), id);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let (code, decision) = heard(&sandbox, &run_id);
    assert_eq!(code, 0);
    assert_eq!(decision["decision"], "approve");
    assert_eq!(decision["decided_by"], "ada");
    assert_eq!(decision["comment"], "go on");
    assert_eq!(decision["by_deadline"], false);
    let record = record(&sandbox, &run_id);
    assert_eq!(record["approvals"][0]["status"], "approved");
    assert_eq!(record["counters"]["approvals"], 1);
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "the attempt was kept");
    let types = event_types(&sandbox, &run_id);
    let people: Vec<_> = types
        .iter()
        .filter(|t| t.contains("approval") || t.contains("aused") || t.contains("resumed"))
        .collect();
    assert_eq!(people, ["approval.requested", "run.paused", "approval.decided", "run.resumed"]);
    assert_eq!(open(&sandbox)["approvals"], json!([]));
    assert_eq!(every(&sandbox)["approvals"][0]["comment"], "go on");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_rejected_agent_gets_the_comment() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&asker("")), &[]);
    paused(&sandbox, &run_id);
    drop(sandbox.errand(["reject", &run_id, "--comment", "not today"]).run().ok());
    finish(&sandbox, &run_id);
    let (code, decision) = heard(&sandbox, &run_id);
    assert_eq!((code, &decision["decision"]), (1, &json!("reject")));
    assert_eq!(decision["comment"], "not today");
}

#[test]
fn a_decision_covers_one_question_also_when_it_is_asked_again() {
    let sandbox = sandbox();
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let script = format!(
        "for d in {one} {one} {two}; do {ASK} --digest $d >> d.json; done\n\
         {ASK} --digest {one} --key again >> d.json\ncat d.json\n",
        one = digest("1"),
        two = digest("2"),
    );
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(&script)), &[]);
    for asked in [1, 2, 3] {
        let what = "the next question is open";
        wait_for_record(&sandbox, &run_id, what, |record| {
            record["approvals"].as_array().is_some_and(|all| all.len() == asked)
                && record["status"] == "paused"
        });
        drop(sandbox.errand(["approve", &run_id]).run().ok());
    }
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "approval.requested").count(), 3);
    let printed = sandbox.errand(["logs", &run_id]).run().ok().stdout();
    let ids: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["approval_id"].clone())
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[1] != ids[2] && ids[2] != ids[3] && ids[3] != ids[0]);
}

#[test]
fn an_answer_against_its_schema_is_refused_with_the_place() {
    let sandbox = sandbox();
    let schema = r#"{"type":"object","properties":{"page":{"type":"integer","minimum":1}},"required":["page"]}"#;
    let script = format!("errand agent input --prompt 'Which page?' --schema '{schema}'\n");
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(&script)), &[]);
    paused(&sandbox, &run_id);
    let listed = sandbox.errand(["approvals", "ls"]).run().ok().stdout();
    assert!(listed.contains("Which page?"), "{listed}");
    let ps = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("paused, waits for an answer"), "{ps}");
    let before = event_types(&sandbox, &run_id);
    for (answer, what) in [
        (r#"{"page": 0}"#, "/page"),
        (r#"{"page": "x"}"#, "integer"),
        ("{}", "page"),
        ("[]", "object"),
        ("{page", "JSON"),
    ] {
        let output = sandbox.errand(["input", &run_id, answer]).run().exits(2);
        let stderr = refused(&output, "answer_invalid");
        assert!(stderr.contains(what), "{what}: {stderr}");
    }
    assert_eq!(event_types(&sandbox, &run_id), before, "nothing changed");
    drop(sandbox.errand(["input", &run_id, "-"]).stdin("{\"page\": 7}").run().ok());
    finish(&sandbox, &run_id);
    assert!(log(&sandbox, &run_id).contains("{\"page\":7}"));
    assert_eq!(record(&sandbox, &run_id)["inputs"][0]["answer"], json!({"page": 7}));
    refused(&sandbox.errand(["input", &run_id, "{\"page\": 8}"]).run(), "run_not_live");
}

#[test]
fn an_invalid_answer_schema_is_refused_when_the_question_is_asked() {
    let sandbox = sandbox();
    let script = "set +e\nerrand agent input --prompt p --schema '{\"type\": \"nothing\"}'\necho \"code $?\"\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let log = log(&sandbox, &run_id);
    assert!(log.contains("code 2") && log.contains("error[schema_invalid]"), "{log}");
    assert!(!event_types(&sandbox, &run_id).contains(&"input.requested".to_owned()));
}

#[test]
fn an_unanswered_question_expires_at_its_deadline() {
    let sandbox = sandbox();
    let script = "set +e\nerrand agent input --prompt p --timeout 200ms\necho \"code $?\"\n\
                  while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    wait_until("it expired", LIMIT, || log(&sandbox, &run_id).contains("code 124"));
    let late = sandbox.errand(["input", &run_id, "1"]).run().exits(125);
    refused(&late, "question_expired");
    assert_eq!(every(&sandbox)["inputs"][0]["status"], "expired");
    open_gate(&sandbox);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

#[test]
fn a_deadline_applies_the_default_decision_of_its_approval() {
    for (default, code, decision) in [("approve", 0, "approve"), ("reject", 1, "reject")] {
        let sandbox = sandbox();
        let agent = sandbox.agent(&asker(&format!("--timeout 200ms --default {default}")));
        let run_id = start(&sandbox, &agent, &[]);
        assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
        let (heard, decided) = heard(&sandbox, &run_id);
        assert_eq!((heard, &decided["decision"]), (code, &json!(decision)));
        assert_eq!(decided["by_deadline"], true);
    }
    let sandbox = sandbox();
    let agent = sandbox.agent(&asker("--default cancel").spec("timeouts: { approval: 200ms }"));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "cancelled");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_decision_with_several_open_questions_must_name_one() {
    let sandbox = sandbox();
    let script = "errand agent approve --action one --target x > /dev/null &\n\
                  errand agent approve --action two --target x > /dev/null &\nwait\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    let both = wait_for("both are asked", LIMIT, || {
        let open = open(&sandbox)["approvals"].as_array().unwrap().clone();
        (open.len() == 2).then_some(open)
    });
    let stderr = refused(&sandbox.errand(["approve", &run_id]).run(), "question_ambiguous");
    for approval in &both {
        assert!(stderr.contains(approval["approval_id"].as_str().unwrap()), "{stderr}");
        assert!(stderr.contains(approval["action"].as_str().unwrap()), "{stderr}");
    }
    for approval in &both {
        let id = approval["approval_id"].as_str().unwrap();
        assert_eq!(record(&sandbox, &run_id)["status"], "paused");
        drop(sandbox.errand(["approve", &run_id, "--approval", id]).run().ok());
    }
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

#[test]
fn a_decision_about_another_digest_is_refused() {
    let sandbox = sandbox();
    let digest = format!("sha256:{}", "a".repeat(64));
    let other = format!("sha256:{}", "b".repeat(64));
    let run_id = start(&sandbox, &sandbox.agent(&asker(&format!("--digest {digest}"))), &[]);
    paused(&sandbox, &run_id);
    let words = |digest| ["approve", run_id.as_str(), "--digest", digest];
    refused(&sandbox.errand(words(&other)).run().exits(125), "digest_mismatch");
    refused(&sandbox.errand(words("sha256:1")).run().exits(2), "usage");
    assert_eq!(record(&sandbox, &run_id)["status"], "paused");
    drop(sandbox.errand(words(&digest)).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

#[test]
fn one_of_many_concurrent_decisions_wins() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&asker("")), &[]);
    paused(&sandbox, &run_id);
    let deciders: Vec<_> = (0..6)
        .map(|number| ["approve", "reject"][number % 2])
        .map(|verb| sandbox.errand([verb, &run_id, "--by", "ada"]).spawn())
        .collect();
    let outputs: Vec<_> = deciders.into_iter().map(errand_testkit::RunningProgram::wait).collect();
    let (won, lost): (Vec<_>, Vec<_>) =
        outputs.into_iter().partition(|output| output.code == Some(0));
    assert_eq!(won.len(), 1, "{won:#?}");
    for output in lost {
        let stderr = output.stderr();
        let is_told = stderr.contains("error[question_decided]") && stderr.contains("ada");
        assert!(is_told || stderr.contains("error[run_not_live]"), "{}", output.describe());
    }
    finish(&sandbox, &run_id);
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "approval.decided").count(), 1);
}

#[test]
fn a_question_that_was_not_asked_cannot_be_answered() {
    let sandbox = sandbox();
    let silent = start(&sandbox, &sandbox.agent(&crate::support::sleeper()), &[]);
    refused(&sandbox.errand(["approve", &silent]).run().exits(125), "question_not_found");
    refused(&sandbox.errand(["input", &silent, "1"]).run().exits(125), "question_not_found");
    let asking = start(&sandbox, &sandbox.agent(&asker("").named("asking")), &[]);
    paused(&sandbox, &asking);
    let words = ["approve", &asking, "--approval", "apr_0000000000000000"];
    refused(&sandbox.errand(words).run().exits(125), "question_not_found");
    refused(&sandbox.errand(["input", &asking, "1"]).run().exits(125), "question_not_found");
    refused(&sandbox.errand(["approve", "nobody"]).run().exits(125), "run_not_found");
    drop(sandbox.errand(["stop", "--force", &asking, &silent]).run().ok());
    refused(&sandbox.errand(["approve", &asking]).run().exits(125), "run_not_live");
    assert_eq!(open(&sandbox)["approvals"], json!([]), "a run that is over asks nothing");
    assert_eq!(every(&sandbox)["approvals"][0]["status"], "closed");
    assert_over(&sandbox, &asking);
}

#[test]
fn questions_outside_of_a_run_are_refused() {
    let sandbox = sandbox();
    let words = ["agent", "approve", "--action", "a", "--target", "b"];
    refused(&sandbox.errand(words).run().exits(125), "not_in_run");
    let nobody = sandbox.errand(words).env("ERRAND_API", "unix:///nowhere.sock");
    refused(&nobody.env("ERRAND_TOKEN", "t").run().exits(125), "agent_api_unreachable");
}

#[test]
fn a_different_result_is_refused_noted_and_changes_nothing() {
    let sandbox = sandbox();
    let call = "curl -s --unix-socket \"${ERRAND_API#unix://}\" -H \"Authorization: Bearer $ERRAND_TOKEN\" \
                -o answer.json -w '%{http_code}\\n' http://errand/agent/v1/checkback -d";
    let script = format!(
        "{call} '{{\"status\":\"completed\",\"output\":1}}'\n\
         {call} '{{\"status\":\"completed\",\"output\":1}}'\n\
         {call} '{{\"status\":\"failed\",\"error\":{{\"code\":\"x\",\"message\":\"late\"}}}}'\ncat answer.json\n"
    );
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(&script)), &[]);
    let record = finish(&sandbox, &run_id);
    let output = sandbox.errand(["logs", &run_id]).run().ok().stdout();
    assert!(output.starts_with("200\n200\n409\n"), "{output}");
    assert!(output.contains("terminal_conflict"), "{output}");
    assert_eq!((&record["status"], &record["output"]), (&json!("completed"), &json!(1)));
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "checkback.refused").count(), 1);
}
