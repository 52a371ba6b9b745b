//! Requests for events: as a stream, and in pages.

use errand_testkit::{HttpRequest, TestAgent};
use serde_json::{Value, json};

use crate::support::TestGateway;

#[test]
fn an_invalid_start_of_a_stream_is_refused() {
    let server = TestGateway::serving(&TestAgent::shell("true").named("idle"));
    let run = server.post("/v1/runs/wait", &json!({ "agent": "idle" })).expect(200).json();
    let target = format!("/v1/runs/{}/events", run["run_id"].as_str().unwrap());
    let none = "01234567890123456789";
    for (target, last, status, code) in [
        (target.as_str(), "x", 400, "parameter_invalid"),
        (target.as_str(), "-1", 400, "parameter_invalid"),
        (target.as_str(), "999", 400, "parameter_invalid"),
        (&format!("/v1/runs/{none}/events"), "0", 404, "run_not_found"),
        (&format!("{target}?type=Step!"), "", 400, "parameter_invalid"),
        ("/v1/events?type=a.b.c", "", 400, "parameter_invalid"),
        ("/v1/events", "7", 400, "parameter_invalid"),
        ("/v1/events?status=done", "", 400, "parameter_invalid"),
        ("/v1/events?label=x", "", 400, "label_invalid"),
    ] {
        let request = HttpRequest::new("GET", target)
            .header("Accept", "text/event-stream")
            .header("Last-Event-ID", last);
        let problem = server.send(&request).expect(status).json();
        assert_eq!(problem["code"], code, "{target} {last}");
    }
    let page = server.get(&format!("{target}?limit=2")).expect(200).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    assert_eq!((&page["next_after"], &page["is_over"]), (&2.into(), &true.into()));
    let all = server.get(&format!("{target}?after=2")).expect(200).json();
    assert_eq!(all["next_after"], Value::Null);
    let whole = [&page["events"], &all["events"]].map(|part| part.as_array().unwrap().clone());
    let journal = server.get(&format!("{target}?limit=1000")).expect(200).json();
    assert_eq!(json!(whole.concat()), journal["events"]);
    assert!(whole.concat().iter().zip(1..).all(|(event, seq)| event["seq"] == seq));
    assert_eq!(server.get("/v1/events").expect(406).json()["code"], "accept_unsupported");
}
