//! Sizes and numbers: each bound applies when it is reached, not after.

use std::sync::atomic::Ordering;

use errand_engine::listener::limit;
use errand_model::event::ListenerSpec;

use super::place::{Place, done, open, status, wait};

#[test]
fn a_declared_body_over_the_bound_is_refused_before_it_is_read() {
    let place = Place::new(open());
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
    let mut client = place.connect();
    client.send(format!("{head}1001\r\n\r\n"));
    let answer = client.rest();
    assert_eq!(status(&answer), 413, "and it is not told to go on: {answer}");
    assert!(answer.contains("1000 bytes"), "{answer}");
    let mut client = place.connect();
    client.send(format!("{head}18446744073709551616\r\n\r\n"));
    assert_eq!(status(&client.rest()), 400);
}

#[test]
fn a_body_in_chunks_is_cut_off_at_the_bound() {
    let place = Place::new(open());
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "y".repeat(bytes));
    let exact = format!("{head}Connection: close\r\n\r\n{}{}0\r\n\r\n", chunk(900), chunk(100));
    assert_eq!(status(&place.send(exact)), 202);
    let mut client = place.connect();
    client.send(format!("{head}\r\n{}{}", chunk(900), chunk(101)));
    // The body has no end, and is answered all the same.
    assert_eq!(status(&client.rest()), 413);
    assert_eq!(place.payloads().len(), 1);
}

#[test]
fn a_client_that_sends_far_too_much_still_gets_the_response() {
    let place = Place::new(open());
    let body = "z".repeat(900_000);
    for _ in 0..20 {
        assert_eq!(status(&place.ask("POST /", "", &body)), 413);
    }
}

#[test]
fn headers_over_the_bound_are_answered_431() {
    let place = Place::new(open());
    let padding = |bytes: usize| format!("X-Padding: {}\r\n", "p".repeat(bytes));
    assert_eq!(status(&place.ask("GET /", &padding(3900), "")), 202);
    assert_eq!(status(&place.ask("GET /", &padding(4096), "")), 431);
    assert_eq!(status(&place.ask("GET /", &padding(100_000), "")), 431);
    assert_eq!(status(&place.ask("GET /", &"a: b\r\n".repeat(200), "")), 431);
    assert_eq!(status(&place.ask(&format!("GET /{}", "u".repeat(5000)), "", "")), 431);
    let mut client = place.connect();
    client.send("GET / HTTP/1.1\r\n".to_owned() + &padding(20_000).replace("\r\n", ""));
    // The header has no end, and is answered all the same.
    assert_eq!(status(&client.rest()), 431);
    let small = Place::new(ListenerSpec { max_header_bytes: 100, ..open() });
    assert_eq!(status(&small.send("GET / HTTP/1.0\r\n\r\n").replace("1.0", "1.1")), 202);
    assert_eq!(status(&small.ask("GET /", &padding(100), "")), 431);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let place = Place::new(open());
    let mut client = place.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Length: 5\r\n\r\n",
    );
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(status(&client.rest()), 202);
    assert_eq!(place.payloads()[0]["body"], "hello");
}

#[test]
fn an_answer_to_head_has_no_body() {
    let place = Place::new(open());
    let answer = place.ask("HEAD /", "", "");
    assert_eq!(status(&answer), 202);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let place = Place::new(open());
    let request = |body: &str, connection: &str| {
        format!(
            "POST /{body} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\
             Content-Length: 1\r\n\r\n{body}"
        )
    };
    let answers = place
        .send(request("1", "keep-alive") + &request("2", "keep-alive") + &request("3", "close"));
    assert_eq!(answers.matches("HTTP/1.1 202 ").count(), 3, "{answers}");
    let bodies = place.payloads().into_iter().map(|payload| payload["body"].clone());
    assert_eq!(bodies.collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[test]
fn concurrent_wakes_and_waiting_requests_are_bounded() {
    let place = Place::with(open(), done(), 0);
    let mut clients = Vec::new();
    for _ in 0..2 + limit::WAITING_ROOM {
        let mut client = place.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        clients.push(client);
    }
    // Clients wait until the room is full; the next one is refused.
    wait(|| {
        let mut client = place.connect();
        client.send("POST /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.0.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let answer = client.rest();
        let is_turned_away = answer.starts_with("HTTP/1.1 429 ");
        assert!(is_turned_away || answer.is_empty(), "{answer}");
        assert!(!is_turned_away || answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        is_turned_away
    });
    place.until_running(2);
    place.service.permits.add_permits(1000);
    let answered = clients.iter_mut().map(|client| status(&client.rest()));
    assert!(answered.filter(|status| *status == 202).count() >= limit::WAITING_ROOM);
    assert_eq!(place.service.most_running.load(Ordering::SeqCst), 2);
}

#[test]
fn a_disconnected_client_frees_no_slot_and_cancels_no_wake() {
    let place = Place::with(ListenerSpec { max_parallel: 1, ..open() }, done(), 0);
    let mut first = place.connect();
    first.send("POST /first HTTP/1.1\r\nHost: x\r\n\r\n");
    place.until_running(1);
    drop(first);
    let mut second = place.connect();
    second.send("POST /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    place.service.permits.add_permits(2);
    assert_eq!(status(&second.rest()), 202);
    assert_eq!(place.service.most_running.load(Ordering::SeqCst), 1);
    assert_eq!(place.payloads().len(), 2);
}

#[test]
fn a_connection_beyond_the_bound_is_refused_and_the_others_are_kept() {
    let place = Place::new(open());
    let mut kept: Vec<_> = (0..limit::CONNECTIONS).map(|_| place.connect()).collect();
    let answer = place.send("");
    assert_eq!(status(&answer), 503);
    kept[0].send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&kept[0].rest()), 202);
}
