//! Clients that stall, break off or arrive while the service ends.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use super::place::{Place, done, open, status, wait};

#[test]
fn silent_clients_are_disconnected_and_block_no_other() {
    let place = Place::new(open());
    let mut silent = place.connect();
    let mut mute = place.connect();
    mute.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
    let mut dribbling = place.connect();
    for byte in "GET / HTTP/1.1\r\nHost: x\r\n".bytes() {
        dribbling.send([byte]);
    }
    for _ in 0..10 {
        assert_eq!(status(&place.ask("GET /", "", "")), 202);
    }
    assert_eq!(status(&mute.rest()), 408);
    // Their heads never arrived: no response is owed.
    assert_eq!(silent.rest(), "");
    assert_eq!(dribbling.rest(), "");
    assert_eq!(place.payloads().len(), 10);
}

#[test]
fn broken_connections_do_not_end_the_listener() {
    let place = Place::new(open());
    for round in 0..50 {
        let mut client = place.connect();
        match round % 4 {
            // A body that breaks off.
            0 => client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhe"),
            // A reset, since the response is not read.
            1 => {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                wait(|| client.0.peek(&mut [0]).is_ok());
            }
            // A head that breaks off.
            2 => client.send("GET / HT"),
            // No bytes at all.
            _ => {}
        }
        drop(client);
    }
    assert_eq!(status(&place.ask("GET /", "", "")), 202);
}

#[test]
fn a_running_wake_is_finished_while_the_service_ends() {
    let mut place = Place::with(open(), done(), 0);
    let connect_and_ask = |path: &str| {
        let mut client = place.connect();
        client.send(format!("POST /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        client
    };
    let mut begun = vec![connect_and_ask("a"), connect_and_ask("b")];
    place.until_running(2);
    let mut waiting = connect_and_ask("waits");
    let mut kept = place.connect();
    place.stop();
    let answer = waiting.rest();
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    kept.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&kept.rest()), 503);
    assert_eq!(status(&place.ask("GET /new", "", "")), 503);
    place.service.permits.add_permits(2);
    for client in &mut begun {
        assert_eq!(status(&client.rest()), 202);
    }
    place.join();
    assert!(TcpStream::connect(place.address).is_err());
    assert_eq!(place.payloads().len(), 2);
}

#[test]
fn an_idle_listener_ends_at_once_and_its_idle_connections_with_it() {
    let mut place = Place::new(open());
    let mut idle = place.connect();
    idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.until("\r\n\r\n");
    idle.until("}\n");
    place.stop();
    place.join();
    idle.0.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(matches!(idle.0.read(&mut [0]), Ok(0) | Err(_)));
}
