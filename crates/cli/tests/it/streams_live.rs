//! Streams of runs on a server: tokens, endings, many clients, slow ones, many runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use errand_testkit::{
    ErrandServer, HttpRequest, LIMIT, Sandbox, Sse, SseEvent, TestAgent, wait_until,
};
use serde_json::{Value, json};

use crate::output_parts::CLIENT;
use crate::support::sandbox;

/// Starts a server with these agents.
fn serve(sandbox: &Sandbox, agents: &[TestAgent]) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    for agent in agents {
        let answer = server.push(&sandbox.agent(agent));
        assert!(answer.status < 300, "{answer:?}");
    }
    server
}

/// Starts a run; returns its id.
fn start(server: &ErrandServer, body: &Value) -> String {
    let record = server.post("/v1/runs", body).expect(202).json();
    record["run_id"].as_str().unwrap().to_owned()
}

/// Starts a run and streams it.
fn start_stream(server: &ErrandServer, target: &str, body: &Value) -> Sse {
    let request =
        HttpRequest::post(target, body.to_string()).header("Content-Type", "application/json");
    let stream = Sse::open(&request, server.address());
    assert_eq!(stream.status, 200, "{:?}", stream.headers);
    stream
}

fn events_of(run_id: &str) -> String {
    format!("/v1/runs/{run_id}/events")
}

/// Joins the parts of an output as the guide describes.
#[derive(Default)]
struct Joined {
    attempt: u64,
    text: Vec<u8>,
    live: usize,
}

impl Joined {
    fn take(&mut self, told: &SseEvent) {
        if !matches!(told.event.as_str(), "output" | "output.delta") {
            return;
        }
        let part = told.json();
        let place = if told.event == "output" { &part } else { &part["data"] };
        let attempt = part["attempt"].as_u64().unwrap();
        let offset = place["offset"].as_u64().unwrap();
        let text = place["text"].as_str().unwrap();
        if attempt != self.attempt {
            (self.attempt, self.text) = (attempt, Vec::new());
        }
        let (have, offset) = (self.text.len(), usize::try_from(offset).unwrap());
        if offset <= have {
            let new = text.as_bytes().get(have - offset..).unwrap_or_default();
            self.live += usize::from(told.id.is_none() && !new.is_empty());
            self.text.extend_from_slice(new);
        }
    }
}

#[test]
fn live_output_parts_arrive_at_once_and_join_with_the_journals() {
    let sandbox = sandbox();
    // Sends a part only once the client has received the previous one.
    let script = format!(
        "{CLIENT}\nfor n in range(20):\n    say(f'{{n}} ä ')\n    open(os.environ['GATE']).read()\n"
    );
    drop(sandbox.tool("sh", ["-c", "mkfifo \"$HOME/gate\""]).run().ok());
    let gate = sandbox.root().join("home/gate");
    let server = serve(&sandbox, &[TestAgent::python(&script).named("teller")]);
    let body = json!({ "agent": "teller", "env": { "GATE": gate } });
    let mut stream = start_stream(&server, "/v1/runs/stream?type=output", &body);
    let location = stream.header("location").unwrap().to_owned();
    let mut joined = Joined::default();
    for n in 0..20 {
        let said = format!("{n} ä ");
        while !joined.text.ends_with(said.as_bytes()) {
            joined.take(&stream.next().expect("the next part"));
        }
        // A pipe opens for writing once the agent reads: it has sent its part and waits.
        drop(std::fs::OpenOptions::new().write(true).open(&gate).unwrap());
    }
    let rest: Vec<SseEvent> = stream.collect();
    rest.iter().for_each(|told| joined.take(told));
    let all: String = (0..20).map(|n| format!("{n} ä ")).collect();
    assert_eq!(String::from_utf8(joined.text).unwrap(), all);
    // On a busy machine the journal, which waits for a quarter of a second, may be first.
    assert!(joined.live >= 5, "parts come before the journal has them: {}", joined.live);
    let end = rest.last().unwrap();
    assert_eq!((end.event.as_str(), &end.json()["run"]["status"]), ("end", &json!("completed")));
    // A later client gets all of it from the journal.
    let mut later = Joined::default();
    Sse::get(server.address(), &format!("{location}/events"), None)
        .for_each(|told| later.take(&told));
    assert_eq!((String::from_utf8(later.text).unwrap(), later.live), (all, 0));
}

#[test]
fn printed_output_is_streamed_on_request() {
    let sandbox = sandbox();
    let server = serve(&sandbox, &[TestAgent::shell("echo out; echo err >&2").named("talker")]);
    let body = json!({ "agent": "talker" });
    let told: Vec<SseEvent> = start_stream(&server, "/v1/runs/stream?log=true", &body).collect();
    assert_eq!(told[0].event, "run.created");
    let log: Vec<Value> =
        told.iter().filter(|told| told.event == "log").map(SseEvent::json).collect();
    for (stream, text) in [("stdout", "out\n"), ("stderr", "err\n")] {
        let line = json!({ "attempt": 1, "stream": stream, "text": text });
        assert!(log.contains(&line), "{log:?}");
    }
    let told: Vec<SseEvent> = start_stream(&server, "/v1/runs/stream", &body).collect();
    assert!(told.iter().all(|told| told.event != "log"));
}

#[test]
fn a_stream_ends_with_its_run_however_that_ends_and_with_the_server() {
    let sandbox = sandbox();
    let sleeper = TestAgent::shell("echo ready; exec sleep 600").named("sleeper");
    let server = serve(&sandbox, &[sleeper, TestAgent::shell("exit 3").named("failing")]);
    let told: Vec<SseEvent> =
        start_stream(&server, "/v1/runs/stream", &json!({ "agent": "failing" })).collect();
    let end = told.last().unwrap();
    assert_eq!((end.event.as_str(), &end.json()["run"]["status"]), ("end", &json!("failed")));
    // Cancelled by another client.
    let run_id = start(&server, &json!({ "agent": "sleeper" }));
    let mut stream = Sse::get(server.address(), &events_of(&run_id), None);
    assert!(stream.any(|told| told.event == "attempt.running"));
    drop(server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({})).expect(200));
    let end = stream.last().unwrap();
    assert_eq!((end.event.as_str(), &end.json()["run"]["status"]), ("end", &json!("cancelled")));
    // Cancelled because its client went away.
    let body = json!({ "agent": "sleeper", "on_disconnect": "cancel" });
    let mut stream = start_stream(&server, "/v1/runs/stream", &body);
    let run_id = stream.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    assert!(stream.any(|told| told.event == "attempt.running"));
    drop(stream);
    let end = Sse::get(server.address(), &events_of(&run_id), None).last().unwrap();
    assert_eq!(end.json()["run"]["status"], "cancelled");
    // By default a run continues without its client.
    let mut stream = start_stream(&server, "/v1/runs/stream", &json!({ "agent": "sleeper" }));
    let run_id = stream.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    assert!(stream.any(|told| told.event == "attempt.running"));
    drop(stream);
    let mut stream = Sse::get(server.address(), &events_of(&run_id), None);
    assert!(stream.any(|told| told.event == "attempt.running"));
    // The server ends.
    server.process().terminate();
    let end = stream.last().unwrap();
    assert_eq!((end.event.as_str(), end.retry), ("end", Some(1_000)));
    assert_eq!(end.json()["reason"], "shutting_down");
    drop(server.into_process().wait());
}

#[test]
fn reconnecting_while_events_come_fast_loses_and_repeats_nothing() {
    let sandbox = sandbox();
    let script = format!(
        "{CLIENT}\nfor n in range(400):\n    call('POST', f'/steps/s{{n}}/begin', {{}})\n    \
         call('POST', f'/steps/s{{n}}/complete', {{'output': n}})\n"
    );
    let server = serve(&sandbox, &[TestAgent::python(&script).named("busy")]);
    let run_id = start(&server, &json!({ "agent": "busy" }));
    let mut last = 0;
    let mut connections = 0;
    let end = 'over: loop {
        connections += 1;
        let stream = Sse::get(server.address(), &events_of(&run_id), Some(&last.to_string()));
        // A different length each time, so that streams break in many places.
        for told in stream.take(1 + connections * 7 % 23) {
            match told.seq() {
                Some(seq) => {
                    assert_eq!(seq, last + 1, "no gap and no repeat");
                    last = seq;
                }
                None => break 'over told,
            }
        }
    };
    assert_eq!(end.json()["last_event_id"], last.to_string());
    assert!(last > 800 && connections > 20, "{last} events over {connections} connections");
}

#[test]
fn a_slow_stream_reader_is_notified_of_gaps_and_uses_little_memory() {
    let sandbox = sandbox();
    let script = format!(
        "{CLIENT}\nopen(os.environ['GATE']).read()\nfor n in range(4000): say('x' * 2000)\n"
    );
    drop(sandbox.tool("sh", ["-c", "mkfifo \"$HOME/gate\""]).run().ok());
    let gate = sandbox.root().join("home/gate");
    let server = serve(&sandbox, &[TestAgent::python(&script).named("teller")]);
    let run_id = start(&server, &json!({ "agent": "teller", "env": { "GATE": gate } }));
    let mut slow = Sse::get_little(server.address(), &events_of(&run_id));
    assert!(slow.any(|told| told.event == "attempt.running"));
    drop(std::fs::OpenOptions::new().write(true).open(&gate).unwrap());
    // The stream is not read until the agent has printed everything.
    drop(server.get(&format!("/v1/runs/{run_id}/wait")).expect(200));
    let told: Vec<SseEvent> = slow.collect();
    let lagged: Vec<&SseEvent> = told.iter().filter(|told| told.event == "lagged").collect();
    assert!(!lagged.is_empty(), "it is told that live parts were left out");
    assert!(lagged[0].json()["missed"].as_u64().unwrap() > 0);
    let mut joined = Joined::default();
    told.iter().for_each(|told| joined.take(told));
    assert_eq!(joined.text.len(), 4_000 * 2_000, "of the journal nothing is left out");
    let ids: Vec<u64> = told.iter().filter_map(SseEvent::seq).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap and no repeat");
}

#[test]
fn a_thousand_clients_of_one_run_get_all_events_within_50_mib() {
    let sandbox = sandbox();
    let sleeper = TestAgent::shell("echo ready; exec sleep 600").named("sleeper");
    let server = serve(&sandbox, &[sleeper]);
    let run_id = start(&server, &json!({ "agent": "sleeper" }));
    let mut clients: Vec<Sse> =
        (0..1_000).map(|_| Sse::get(server.address(), &events_of(&run_id), None)).collect();
    for client in &mut clients {
        assert!(client.any(|told| told.event == "attempt.running"));
    }
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.process().id())).unwrap();
    // Without the pages of the program's file, which a debug build has many of.
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 50 * 1_024, "{kib} KiB for a thousand clients");
    drop(server.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})));
    for client in clients {
        assert_eq!(client.last().unwrap().json()["run"]["status"], "cancelled");
    }
}

#[test]
fn a_stream_of_many_runs_has_exactly_the_selected_ones_and_can_be_resumed() {
    let sandbox = sandbox();
    let quick = TestAgent::shell("errand agent step one -- true").named("quick");
    let server = serve(&sandbox, &[quick, TestAgent::shell("true").named("other")]);
    let target = "/v1/events?agent=quick&label=team=a&type=run&type=step.completed";
    let mut stream = Sse::get(server.address(), target, None);
    let labels = json!({ "team": "a" });
    let run =
        |agent: &str, labels: &Value| start(&server, &json!({ "agent": agent, "labels": labels }));
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(run("quick", &labels));
        drop((run("other", &labels), run("quick", &json!({ "team": "b" }))));
    }
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = Vec::new();
    let mut over = 0;
    while over < own.len() {
        let event = stream.next().unwrap();
        let (run_id, seq) = event.id.as_ref().unwrap().split_once(':').unwrap();
        assert_eq!(event.json()["run_id"], run_id);
        assert_eq!(event.json()["seq"].to_string(), seq);
        over += usize::from(event.event == "run.completed");
        told.entry(run_id.to_owned()).or_default().push(event.event.clone());
        ids.push(event.id.unwrap());
    }
    assert_eq!(told.keys().collect::<Vec<_>>(), own.iter().collect::<Vec<_>>());
    let expected = ["run.created", "run.started", "step.completed", "run.completed"];
    assert!(told.values().all(|types| types == &expected), "{told:?}");
    // From the middle on no event is left out.
    let middle = &ids[ids.len() / 2];
    let mut again = Vec::new();
    let mut resumed = Sse::get(server.address(), target, Some(middle));
    while ids[ids.len() / 2 + 1..].iter().any(|id| !again.contains(id)) {
        again.push(resumed.next().unwrap().id.unwrap());
    }
    assert!(!again.contains(middle), "what it names is not told again");
    // A client that names the last event of each run gets no repetition either.
    let named: Vec<String> = own
        .iter()
        .map(|run_id| ids.iter().rfind(|id| id.starts_with(run_id.as_str())).unwrap().clone())
        .collect();
    let after = format!("{target}&after={}", named.join(","));
    let mut resumed = Sse::get(server.address(), &after, None);
    let new = run("quick", &labels);
    let next = resumed.next().unwrap();
    assert_eq!(next.id, Some(format!("{new}:1")), "nothing of the others comes again");
}

#[test]
fn an_idle_stream_sends_keep_alives() {
    let sandbox = sandbox();
    let sleeper = TestAgent::shell("exec sleep 600").named("sleeper");
    let server = serve(&sandbox, &[sleeper]);
    let run_id = start(&server, &json!({ "agent": "sleeper" }));
    let mut stream = Sse::get(server.address(), &events_of(&run_id), None);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-store"));
    let mut all = std::iter::from_fn(|| stream.next_or_comment());
    assert!(all.any(|told| told.event.is_empty() && told.data == "heartbeat"));
}

#[test]
fn a_disconnected_stream_client_affects_no_other() {
    let sandbox = sandbox();
    let sleeper = TestAgent::shell("exec sleep 600").named("sleeper");
    let server = serve(&sandbox, &[sleeper]);
    let run_id = start(&server, &json!({ "agent": "sleeper" }));
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
            events_of(&run_id),
            server.address()
        );
        stream.write_all(request.as_bytes()).unwrap();
    }
    wait_until("the run is running", LIMIT, || {
        server.get(&format!("/v1/runs/{run_id}")).expect(200).json()["status"] == "running"
    });
    let mut stream = Sse::get(server.address(), &events_of(&run_id), None);
    stream.set_limit(Duration::from_secs(30));
    assert!(stream.any(|told| told.event == "attempt.running"));
}

#[test]
fn a_stream_is_resumed_after_the_server_was_killed() {
    let sandbox = sandbox();
    let script =
        "if [ -e \"$HOME/once\" ]; then exit 0; fi\ntouch \"$HOME/once\"\nexec sleep 600\n";
    let server = serve(&sandbox, &[TestAgent::shell(script).named("twice")]);
    let run_id = start(&server, &json!({ "agent": "twice" }));
    let mut last = 0;
    let stream = Sse::get(server.address(), &events_of(&run_id), None);
    for told in stream {
        last = told.seq().unwrap();
        if told.event == "attempt.running" {
            break;
        }
    }
    wait_until("the agent is at work", LIMIT, || sandbox.root().join("home/once").exists());
    server.process().kill();
    drop(server.into_process().wait());
    let server = ErrandServer::start(&sandbox, &[]);
    let mut stream = Sse::get(server.address(), &events_of(&run_id), Some(&last.to_string()));
    let end = loop {
        let told = stream.next().unwrap();
        match told.seq() {
            Some(seq) => {
                assert_eq!(seq, last + 1, "no gap and no repeat");
                last = seq;
            }
            None if told.event == "end" => break told,
            None => {}
        }
    };
    assert_eq!(end.json()["run"]["status"], "completed");
    assert_eq!(end.json()["run"]["attempt"], 2);
}
