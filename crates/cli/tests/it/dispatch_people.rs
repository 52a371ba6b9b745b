//! People who decide and answer at the sender what an agent at a dispatcher asks.

use errand_testkit::{HttpRequest, LIMIT, wait_until};
use serde_json::{Value, json};

use crate::dispatched::World;
use crate::people::open;
use crate::support::{event_types, kill};

/// Agent that asks twice, and prints what it hears.
const ASKER: &str = "errand agent approve --action deploy --target production --summary 'two pages' > d.json; \
     cat d.json; errand agent input --prompt 'Which page?' --schema '{\"type\":\"integer\"}'";

/// Waits until the sender shows an open question of that kind, and returns it.
fn asked(it: &World, kind: &str) -> Value {
    let mut found = Value::Null;
    wait_until("the sender shows what is asked", LIMIT * 2, || {
        found = open(&it.sender)[kind][0].clone();
        !found.is_null()
    });
    found
}

fn task(it: &World, run_id: &str) -> Value {
    it.server.get(&format!("/tasks/{run_id}.1")).json()
}

fn count(types: &[String], wanted: &str) -> usize {
    types.iter().filter(|kind| *kind == wanted).count()
}

#[test]
fn what_an_agent_at_a_dispatcher_asks_is_decided_at_the_sender_whoever_dies() {
    let Some(it) = World::start() else { return };
    let run_id = it.run(&it.agent(ASKER, ""));
    let approval = asked(&it, "approvals");
    assert_eq!(
        (&approval["run_id"], &approval["action"], &approval["summary"]),
        (&run_id.as_str().into(), &"deploy".into(), &"two pages".into())
    );
    let ps = it.sender.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("paused, waits for approval of deploy"), "{ps}");
    let shown = it.sender.errand(["approvals", "show", &run_id]).run().ok().stdout();
    assert!(shown.contains("production"), "{shown}");
    let waiting = task(&it, &run_id);
    let id = approval["approval_id"].as_str().unwrap();
    assert_eq!((&waiting["status"], &waiting["waiting"]), (&"RUNNING".into(), &"approval".into()));
    assert_eq!(waiting["questions"]["approvals"][0]["approval_id"], id);

    // The supervisor dies with the question open, and the dispatcher is away while it is decided.
    kill(&it.record(&run_id)["pid"]);
    wait_until("the run is adopted", LIMIT, || {
        it.record(&run_id);
        event_types(&it.sender, &run_id).contains(&"attempt.adopted".to_owned())
    });
    it.server.process().kill();
    let decided = it.sender.errand(["approve", &run_id, "--comment", "go on"]).run().ok();
    assert!(decided.stdout().contains(id) || decided.stderr().contains(id));
    let again = it.sender.errand(["reject", &run_id]).run().exits(125);
    assert!(again.stderr().contains("question_decided"), "{}", again.describe());
    let it = it.restarted();

    let input = asked(&it, "inputs");
    assert_eq!(input["prompt"], "Which page?");
    let refused = it.sender.errand(["input", &run_id, "\"x\""]).run().exits(2);
    assert!(refused.stderr().contains("answer_invalid"), "{}", refused.describe());
    let _answered = it.sender.errand(["input", &run_id, "7"]).run().ok();
    let done = it.wait(&run_id, "completed");
    let log = it.log(&run_id);
    assert!(log.contains("\"decision\":\"approve\"") && log.contains("go on"), "{log}");
    assert!(done["output"].as_str().unwrap().contains('7'), "{done}");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1, "{done}");
    assert_eq!(done["approvals"][0]["status"], "approved", "{done}");
    let types = event_types(&it.sender, &run_id);
    assert_eq!((count(&types, "approval.requested"), count(&types, "approval.decided")), (1, 1));
    assert_eq!((count(&types, "input.requested"), count(&types, "input.provided")), (1, 1));
    let theirs = it.sender.errand(["events", &run_id, "--task"]).run().ok().stdout();
    assert_eq!(theirs.matches("approval.decided").count(), 1, "{theirs}");
    let _sound = it.sender.errand(["verify", &run_id]).run().ok();
}

#[test]
fn what_is_decided_at_the_dispatcher_or_by_a_deadline_is_so_at_the_sender() {
    let Some(it) = World::start() else { return };
    let parked = "errand agent approve --action deploy --target production --park > d.json \
         || { code=$?; [ $code = 1 ] || exit $code; }; cat d.json";
    let run_id = it.run(&it.agent(parked, ""));
    let approval = asked(&it, "approvals");
    wait_until("the agent is parked", LIMIT, || task(&it, &run_id)["status"] == "QUEUED");
    let id = approval["approval_id"].as_str().unwrap();
    let path = format!("/tasks/{run_id}.1/decisions");
    let decision = |decision_id: &str, more: &Value| {
        let mut body = json!({ "decision_id": decision_id, "by": "ada" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = HttpRequest::post(&path, body.to_string());
        it.server.send(&request.header("Content-Type", "application/json"))
    };
    assert_eq!(decision("d-0", &json!({})).status, 400);
    let both = json!({ "approval_id": id, "decision": "reject", "input_id": "inp_1" });
    assert_eq!(decision("d-0", &both).status, 400);
    let none = json!({ "approval_id": "apr_0", "decision": "reject" });
    assert_eq!(decision("d-0", &none).status, 404);
    let rejected = json!({ "approval_id": id, "decision": "reject", "comment": "not today" });
    assert_eq!(decision("d-1", &rejected).status, 200);
    assert_eq!(decision("d-1", &rejected).status, 200, "sent again, it changes nothing");
    assert_eq!(decision("d-2", &rejected).status, 409);
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["approvals"][0]["status"], "rejected", "{done}");
    assert_eq!(done["approvals"][0]["comment"], "not today");
    assert!(it.log(&run_id).contains("\"decision\":\"reject\""));

    let unsure = "errand agent approve --action deploy --target production || true";
    let run_id = it.run(&it.agent(unsure, "  timeouts: { approval: 2s }\n"));
    let done = it.wait(&run_id, "completed");
    assert_eq!(done["approvals"][0]["status"], "rejected", "{done}");
    let theirs = it.sender.errand(["events", &run_id, "--task"]).run().ok().stdout();
    assert!(theirs.contains("\"by_deadline\":true"), "{theirs}");
}
