//! Policies: rules and programs that decide about the calls of agents.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use errand_testkit::{LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::Value;

use crate::support::{events, ran, sandbox};

#[test]
fn rules_about_hosts_that_decide_nothing_are_named_in_the_log() {
    let sandbox = sandbox();
    apply(&sandbox, "hosts", "  egress: { allow: [example.com] }");
    let (_, record) = ran(&sandbox, &TestAgent::shell("true").spec("policies: [hosts]"), &[]);
    assert_eq!(record["counters"]["policy_decisions"], 0, "it has nothing to say about the start");
    let log = sandbox.errand(["logs", "--system", record["run_id"].as_str().unwrap()]).run().ok();
    let said = format!("{}{}", log.stdout(), log.stderr());
    assert!(said.contains("(egress) of the policy hosts decide nothing in this run"), "{said}");
}

/// A policy of the catalog with that `spec`.
fn apply(sandbox: &Sandbox, name: &str, spec: &str) {
    let manifest = format!(
        "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec:\n{spec}\n"
    );
    sandbox.write("policy.yaml", manifest);
    drop(sandbox.errand(["apply", "-f", "policy.yaml"]).run().ok());
}

fn decisions(sandbox: &Sandbox, record: &Value) -> Vec<Value> {
    events(sandbox, record["run_id"].as_str().unwrap(), "policy.decided")
}

const SEND: &str = "set +e
for to in ann@example.org bob@elsewhere; do
  errand agent reserve tool --tool send_mail --arguments \"{\\\"to\\\": \\\"$to\\\"}\" >/dev/null 2>told
  echo $to=$?; cat told
done";

#[test]
fn rules_of_the_agent_file_deny_a_call_before_it_is_made() {
    let sandbox = sandbox();
    let rules = "policy: { tools: { deny: [{ name: 'send_*', when: { arguments.to: '*@elsewhere' }, reason: no mail outside }] } }";
    let (printed, record) = ran(&sandbox, &TestAgent::shell(SEND).spec(rules), &[]);
    assert!(printed.contains("ann@example.org=0\n"), "{printed}");
    assert!(printed.contains("bob@elsewhere=1\n"), "{printed}");
    assert!(printed.contains("error[policy_denied]"), "{printed}");
    assert!(printed.contains("no mail outside"), "{printed}");
    let decided = decisions(&sandbox, &record);
    let verdicts: Vec<_> = decided.iter().map(|it| it["verdict"].as_str().unwrap()).collect();
    // Two calls: the rules say nothing about the start of the run.
    assert_eq!(verdicts, ["allow", "deny"]);
    assert_eq!(decided[1]["subject"], "send_mail");
    assert_eq!(decided[1]["call"]["json"]["arguments"]["to"], "bob@elsewhere");
    assert_eq!(record["counters"]["policy_decisions"], 2);
    let shown = sandbox.errand(["policy", "explain", record["run_id"].as_str().unwrap()]);
    let shown = shown.run().ok().stdout();
    assert!(shown.contains("deny") && shown.contains("no mail outside"), "{shown}");
    let run_id = record["run_id"].as_str().unwrap();
    let calls = sandbox.errand(["calls", run_id]).run().ok().stderr();
    assert!(
        calls.contains(&format!(
            "no call was made: 1 was refused (`errand policy explain {run_id}`)"
        )),
        "{calls}"
    );
}

#[test]
fn a_program_of_the_catalog_decides_and_its_version_is_pinned() {
    let sandbox = sandbox();
    let program = "  rego: |
    package errand
    default decision := \"allow\"
    decision := {\"decision\": \"modify\", \"modified\": object.union(input.call.arguments, {\"limit\": 10})} if {
      input.hook == \"before_tool\"
      input.call.name == \"search\"
    }
    decision := {\"decision\": \"deny\", \"reason\": \"two calls are enough\"} if {
      input.hook == \"before_model\"
    }";
    let script = r#"set +e
        errand agent reserve tool --tool search --arguments '{"q": "x"}' --json
        errand agent reserve model --model gpt-4o-mini --tokens 10 2>/dev/null; echo model=$?"#;
    let agent = TestAgent::shell(script).spec("policies: [limits]");
    let missing = sandbox.errand(["run"]).arg(sandbox.agent(&agent)).run();
    drop(missing.refuses(125, "error[dependency_missing]"));
    apply(&sandbox, "limits", program);
    let (printed, record) = ran(&sandbox, &agent, &[]);
    assert!(printed.contains("\"limit\": 10") || printed.contains("\"limit\":10"), "{printed}");
    assert!(printed.contains("model=1\n"), "{printed}");
    let decided = decisions(&sandbox, &record);
    assert_eq!(decided[1]["policy"], "limits@1");
    assert_eq!(decided[1]["verdict"], "modify");
    let bom = sandbox.errand(["bom", record["run_id"].as_str().unwrap(), "--json"]).run().ok();
    assert!(bom.stdout().contains("limits"), "{}", bom.stdout());
}

#[test]
fn a_shadow_only_records() {
    let sandbox = sandbox();
    apply(&sandbox, "strict", "  mode: shadow\n  tools: { allow: [] }");
    let (printed, record) = ran(&sandbox, &TestAgent::shell(SEND).spec("policies: [strict]"), &[]);
    assert!(printed.contains("ann@example.org=0\n"), "{printed}");
    let decided = decisions(&sandbox, &record);
    assert_eq!(decided[0]["hook"], "before_tool");
    assert_eq!(
        (&decided[0]["verdict"], &decided[0]["enforced"]),
        (&"deny".into(), &"allow".into())
    );
}

#[test]
fn a_policy_denies_or_changes_the_payload_before_there_is_a_run() {
    let sandbox = sandbox();
    let program = "  rego: |
    package errand
    default decision := \"allow\"
    decision := {\"decision\": \"deny\", \"reason\": \"not on Fridays\"} if {
      input.hook == \"agent_trigger\"
      input.call.payload.day == \"friday\"
    }
    decision := {\"decision\": \"modify\", \"modified\": {\"day\": \"monday\", \"n\": input.call.payload.n + 1}} if {
      input.hook == \"agent_trigger\"
      input.call.payload.n > 1
    }";
    apply(&sandbox, "days", program);
    let schema = "input_schema: { type: object, properties: { n: { maximum: 5 } } }";
    let agent = TestAgent::shell("cat").spec("policies: [days]").spec(schema);
    let (printed, record) = ran(&sandbox, &agent, &["--job", r#"{"day": "tuesday", "n": 3}"#]);
    assert_eq!(printed.trim(), r#"{"day":"monday","n":4}"#);
    assert_eq!(decisions(&sandbox, &record)[0]["call"]["json"]["payload"]["n"], 3);
    let path = sandbox.agent(&agent);
    let run = |payload: &str| sandbox.errand(["run", "--job", payload]).arg(&path).run();
    let denied = run(r#"{"day": "friday", "n": 1}"#).refuses(125, "error[policy_denied]");
    assert!(denied.stderr().contains("days@1 denies it: not on Fridays"), "{}", denied.stderr());
    drop(run(r#"{"day": "monday", "n": 5}"#).refuses(2, "error[input_invalid]"));
    let all = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    assert_eq!(all.as_array().unwrap().len(), 1, "nothing was created: {all}");
}

#[test]
fn a_person_is_asked_and_decides() {
    let sandbox = sandbox();
    let script = r#"set +e
        errand agent reserve tool --tool pay --arguments '{"eur": 5}' >/dev/null; echo pay=$?
        errand agent reserve tool --tool pay --arguments '{"eur": 5}' >/dev/null; echo again=$?
        errand agent reserve tool --tool pay --arguments '{"eur": 9}' >/dev/null 2>&1; echo more=$?"#;
    let agent = sandbox.agent(&TestAgent::shell(script).spec("policy: { tools: { ask: [pay] } }"));
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    for decision in ["approve", "reject"] {
        let mut open = Value::Null;
        wait_until("an approval", LIMIT, || {
            open = sandbox.errand(["approvals", "ls", "--json"]).run().ok().json();
            open["approvals"].as_array().is_some_and(|all| !all.is_empty())
                || open.as_array().is_some_and(|all| !all.is_empty())
        });
        let id = open["approvals"][0]["approval_id"].as_str().unwrap();
        let shown = sandbox.errand(["approvals", "show", run_id]).run().ok().stdout();
        assert_eq!(shown, sandbox.errand(["approvals", "show", id]).run().ok().stdout());
        let approve = format!("approve     errand approve {run_id} --approval {id}");
        for text in ["action      before_tool", "target      pay", "\"eur\": ", &approve] {
            assert!(shown.contains(text), "{text} in {shown}");
        }
        drop(sandbox.errand([decision, run_id]).run().ok());
    }
    drop(sandbox.errand(["wait", run_id]).run());
    let printed = sandbox.errand(["logs", run_id]).run().ok().stdout();
    for line in ["pay=0", "again=0", "more=1"] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

#[test]
fn a_policy_is_tried_on_recorded_runs() {
    let sandbox = sandbox();
    let script = r#"errand agent emit tool.called '{"name": "rm", "arguments": {"path": "/"}}'
        errand agent emit tool.called '{"name": "ls"}'"#;
    let (_, record) = ran(&sandbox, &TestAgent::shell(script), &[]);
    sandbox.write(
        "new.yaml",
        "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: { name: safe }\nspec: { tools: { deny: [rm] } }\n",
    );
    let shown = sandbox.errand(["policy", "test", "-f", "new.yaml", "--since", "1h"]).run().ok();
    let shown = shown.stdout();
    assert!(shown.contains(record["run_id"].as_str().unwrap()), "{shown}");
    assert!(
        shown.contains("1 run, 2 calls: 1 denied, 0 asked about, 0 changed, 1 allowed"),
        "{shown}"
    );
    let json = sandbox.errand(["policy", "test", "-f", "new.yaml", "--json"]).run().ok().json();
    assert_eq!(json["decisions"][0]["subject"], "rm");
}

#[test]
fn a_bad_policy_is_refused_when_it_is_applied() {
    let sandbox = sandbox();
    let refused = |spec: &str, code: &str, told: &str| {
        let manifest = format!(
            "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: {{ name: bad }}\nspec: {spec}\n"
        );
        sandbox.write("policy.yaml", manifest);
        let refused = sandbox.errand(["apply", "-f", "policy.yaml"]).run();
        assert!(refused.code != Some(0), "{spec}");
        let stderr = refused.stderr();
        assert!(stderr.contains(code) && stderr.contains(told), "{spec}: {stderr}");
    };
    refused("{ rego: \"package errand\\ndecision := {\" }", "policy_invalid", "line 2");
    refused("{ rego: \"package other\\ndecision := 1\" }", "policy_invalid", "package errand");
    refused("{ tools: { deny: [''] } }", "manifest_invalid", "the pattern is empty");
    refused("{ tools: { forbid: [rm] } }", "manifest_invalid", "forbid");
    refused("{ trigger: { ask: [manual] } }", "manifest_invalid", "before there is a run");
    refused("{}", "manifest_invalid", "no rule and no program");
    refused("{ external: {} }", "manifest_invalid", "one of command and url");
    refused(
        "{ external: { command: [a], url: 'http://x' } }",
        "manifest_invalid",
        "one of command and url",
    );
    refused("{ external: { command: [a], timeout: 2m } }", "manifest_invalid", "within a minute");
    refused("{ external: { url: 'http://a:b@c/' } }", "manifest_invalid", "no user and password");
    refused("{ external: { command: [a] }, hooks: [on_dream] }", "", "on_dream");
    refused("{ tools: { deny: [a] }, hooks: [after_tool] }", "manifest_invalid", "nothing that");
}

#[test]
fn a_program_decides_and_anything_but_its_decision_denies() {
    let sandbox = sandbox();
    let decide = r#"#!/bin/sh
case $(cat) in
  *'"name":"good"'*) echo '{"decision": "allow"}' ;;
  *'"name":"change"'*) echo '{"decision": "modify", "modified": {"n": 1}}' ;;
  *'"name":"bad"'*) echo '{"decision": "deny", "reason": "it is bad"}' ;;
  *'"name":"broken"'*) echo 'no disk' >&2; exit 3 ;;
  *'"name":"words"'*) echo 'yes' ;;
  *'"name":"slow"'*) sleep 600 & echo $! > "$(dirname "$0")/slept"; wait ;;
  *) echo '{"decision": "allow"}' ;;
esac
"#;
    let program = sandbox.write("decide", decide);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let script = "set +e
      for tool in good change bad broken words slow; do
        errand agent reserve tool --tool $tool --arguments '{}' --json >said 2>told
        echo $tool=$?; cat said told
      done";
    let external = format!("external: {{ command: ['{}'], timeout: 2s }}", program.display());
    let agent = TestAgent::shell(script).spec(&format!("policy: {{ {external} }}"));
    let (printed, record) = ran(&sandbox, &agent, &[]);
    for told in [
        "good=0\n",
        "change=0\n",
        "\"n\":1",
        "bad=1\n",
        "it is bad",
        "broken=1\n",
        "exits with 3: no disk",
        "words=1\n",
        "it is not JSON",
        "slow=1\n",
        "none came within 2000 ms",
    ] {
        assert!(printed.contains(told), "{told} in {printed}");
    }
    let slept = std::fs::read_to_string(sandbox.path("slept")).unwrap();
    let process = format!("/proc/{}", slept.trim());
    wait_until("the end of the program's group", LIMIT, || {
        !std::path::Path::new(&process).exists()
    });
    let verdicts: Vec<_> = decisions(&sandbox, &record)[1..]
        .iter()
        .map(|it| it["verdict"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(verdicts, ["allow", "modify", "deny", "deny", "deny", "deny"]);

    let shadow = format!("  mode: shadow\n  {external}");
    apply(&sandbox, "watch", &shadow);
    let agent = TestAgent::shell("errand agent reserve tool --tool bad").spec("policies: [watch]");
    let (_, record) = ran(&sandbox, &agent, &[]);
    let decided = decisions(&sandbox, &record);
    assert_eq!(
        (&decided[1]["verdict"], &decided[1]["enforced"]),
        (&"deny".into(), &"allow".into())
    );
    let emits = TestAgent::shell(r#"errand agent emit tool.called '{"name": "bad"}'"#);
    let (_, record) = ran(&sandbox, &emits, &[]);
    let tested = sandbox.errand(["policy", "test", "-f", "policy.yaml", "--json"]);
    let tested = tested.arg(record["run_id"].as_str().unwrap()).run().ok().json();
    assert_eq!(tested["decisions"][0]["reason"], "it is bad");
}

#[test]
fn an_external_policy_whose_program_is_missing_is_refused_before_there_is_a_run() {
    let sandbox = sandbox();
    let rules = "policy: { external: { command: [no-such-program-of-errand] } }";
    let agent = sandbox.agent(&TestAgent::shell("true").spec(rules));
    let refused = sandbox.errand(["run"]).arg(agent).run().refuses(125, "error[policy_invalid]");
    assert!(refused.stderr().contains("no-such-program-of-errand"), "{}", refused.stderr());
    let all = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    assert_eq!(all.as_array().unwrap().len(), 0, "nothing was created: {all}");
}

#[test]
fn a_service_decides_by_its_url() {
    let sandbox = sandbox();
    let service = DecidingService::start();
    let rules = format!("policy: {{ external: {{ url: '{}' }} }}", service.url());
    let (printed, record) = ran(&sandbox, &TestAgent::shell(SEND).spec(&rules), &[]);
    assert!(printed.contains("ann@example.org=0\n"), "{printed}");
    assert!(printed.contains("bob@elsewhere=1\n"), "{printed}");
    assert!(printed.contains("not to them"), "{printed}");
    assert_eq!(decisions(&sandbox, &record).len(), 3);
}

/// A service that denies calls with `elsewhere` in them.
struct DecidingService {
    address: SocketAddr,
}

impl DecidingService {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut request) = (stream.unwrap(), Vec::new());
                // The document ends with the brace of its object, and no request before it does.
                while !request.ends_with(b"}") {
                    let mut piece = [0; 4_096];
                    match stream.read(&mut piece) {
                        Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                        Ok(0) | Err(_) => break,
                    }
                }
                let body = if String::from_utf8_lossy(&request).contains("elsewhere") {
                    r#"{"decision": "deny", "reason": "not to them"}"#
                } else {
                    r#"{"decision": "allow"}"#
                };
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
                drop(write!(stream, "{head} {}\r\n\r\n{body}", body.len()));
            }
        });
        Self { address }
    }

    fn url(&self) -> String {
        format!("http://{}/decide", self.address)
    }
}
