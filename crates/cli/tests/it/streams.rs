//! Streams of a run's events: complete, resumable anywhere, and always with an end.

use errand_testkit::{ErrandServer, Sandbox, Sse, SseEvent, TestAgent};
use serde_json::Value;

use crate::support::{finish, sandbox, start};

fn target(run_id: &str) -> String {
    format!("/v1/runs/{run_id}/events")
}

/// Returns the events of a run as the command line shows them.
fn journal(sandbox: &Sandbox, run_id: &str) -> Vec<Value> {
    sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines()
}

/// Returns the journal's events in a stream; panics on a repetition or a gap.
fn told(stream: &[SseEvent], after: u64) -> Vec<Value> {
    let events: Vec<&SseEvent> = stream.iter().filter(|told| told.id.is_some()).collect();
    for (event, seq) in events.iter().zip(after + 1..) {
        assert_eq!(event.seq(), Some(seq), "ids are the numbers of events");
        let data = event.json();
        assert_eq!((&data["seq"], &data["type"]), (&seq.into(), &event.event.clone().into()));
    }
    events.into_iter().map(SseEvent::json).collect()
}

#[test]
fn a_stream_can_be_resumed_after_each_event_and_always_ends() {
    let sandbox = sandbox();
    let script = "errand agent step one -- echo 1\nerrand agent step two -- echo 2\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    let server = ErrandServer::start(&sandbox, &[]);
    // Once while the run is live, and once when it is over.
    let live = Sse::get(server.address(), &target(&run_id), None).rest();
    let record = finish(&sandbox, &run_id);
    let journal = journal(&sandbox, &run_id);
    assert_eq!(told(&live, 0), journal);
    for after in 0..=journal.len() {
        let last = after.to_string();
        let stream = Sse::get(server.address(), &target(&run_id), Some(&last)).rest();
        let number = u64::try_from(after).unwrap();
        assert_eq!(told(&stream, number), journal[after..], "after {after}");
        let end = stream.last().unwrap();
        assert_eq!((end.event.as_str(), &end.id), ("end", &None));
        assert_eq!(end.json()["reason"], "over");
        assert_eq!(end.json()["last_event_id"], journal.len().to_string());
        assert_eq!(end.json()["run"]["status"], "completed");
        assert_eq!(end.json()["run"]["attempts"], record["attempts"]);
        assert_eq!(stream.iter().filter(|told| told.event == "end").count(), 1);
    }
    let by_query = format!("{}?after=1&type=run", target(&run_id));
    let stream = Sse::get(server.address(), &by_query, None).rest();
    let types: Vec<&str> = stream.iter().map(|told| told.event.as_str()).collect();
    assert_eq!(types, ["run.started", "run.completed", "end"]);
}
