//! Responses of a listener, and the requests that reach the service.

use errand_engine::CodedError as _;
use errand_engine::listener::{BoundListener, Error, IngressOutcome};
use errand_model::event::ListenerSpec;
use errand_model::hex;
use serde_json::json;
use sha2::Digest as _;

use super::place::{Place, body, open, run_id, status};

fn hook() -> ListenerSpec {
    ListenerSpec {
        path: Some("/hook".to_owned()),
        methods: vec!["POST".to_owned(), "PUT".to_owned()],
        secret_sha256: Some(hex(&sha2::Sha256::digest("open sesame"))),
        ..open()
    }
}

const SECRET: &str = "X-Errand-Secret: open sesame\r\n";

#[test]
fn a_completed_wake_is_answered_202_with_its_run() {
    let place = Place::new(open());
    let answer = place.ask("POST /any", "", "hello");
    assert_eq!(status(&answer), 202);
    assert_eq!(body(&answer), json!({"run_id": run_id().as_str(), "status": "completed"}));
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
}

#[test]
fn a_failed_wake_is_answered_500_without_its_cause() {
    let message = "password in the traceback".to_owned();
    let failed = IngressOutcome::Failed { run_id: run_id(), message };
    let place = Place::with(open(), failed, 10);
    let answer = place.ask("POST /", "", "");
    assert_eq!(status(&answer), 500);
    assert_eq!(body(&answer)["run_id"], run_id().as_str());
    assert!(!answer.contains("traceback"), "{answer}");
    // The service continues.
    assert_eq!(status(&place.ask("POST /", "", "")), 500);
}

#[test]
fn a_busy_service_answers_with_retry_after() {
    for (outcome, expected) in [(IngressOutcome::Busy, 429), (IngressOutcome::ShuttingDown, 503)] {
        let place = Place::with(open(), outcome, 10);
        let answer = place.ask("POST /", "", "");
        assert_eq!(status(&answer), expected);
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    }
}

#[test]
fn the_secret_is_accepted_in_either_header_and_no_other_value_is() {
    let place = Place::new(hook());
    let ask = |headers: &str| place.ask("POST /hook", headers, "");
    for headers in [
        SECRET,
        "Authorization: Bearer open sesame\r\n",
        "authorization: bEARER open sesame\r\n",
        "Authorization: Basic x\r\nX-Errand-Secret: open sesame\r\n",
        "X-Errand-Secret: wrong\r\nX-Errand-Secret: open sesame\r\n",
    ] {
        assert_eq!(status(&ask(headers)), 202, "{headers}");
    }
    for headers in [
        "",
        "X-Errand-Secret: open sesam\r\n",
        "X-Errand-Secret: \r\n",
        "Authorization: Basic open sesame\r\n",
        "Authorization: open sesame\r\n",
        "X-Secret: open sesame\r\n",
    ] {
        let answer = ask(headers);
        assert_eq!(status(&answer), 401, "{headers}");
        assert!(answer.contains("\r\nwww-authenticate: Bearer realm=\"errand\"\r\n"), "{answer}");
    }
    let elsewhere = place.ask("GET /elsewhere", "", "");
    assert_eq!(status(&elsewhere), 401, "who does not know the secret is told nothing else");
    assert_eq!(place.payloads().len(), 5);
}

#[test]
fn only_the_listeners_path_is_served_in_any_encoding() {
    let place = Place::new(hook());
    let ask = |target: &str| status(&place.ask(&format!("POST {target}"), SECRET, ""));
    for target in ["/hook", "/hook?a=/b", "/%68ook", "/hoo%6B", "http://x/hook", "/hook?"] {
        assert_eq!(ask(target), 202, "{target}");
    }
    for target in ["/", "/hook/", "//hook", "/Hook", "/hook%20", "/hook%2F", "/x/../hook", "*"] {
        assert_eq!(ask(target), 404, "{target}");
    }
    for target in ["/%zz", "/hook%", "/%ff"] {
        assert_eq!(ask(target), 400, "{target}");
    }
}

#[test]
fn a_refused_method_is_answered_with_the_allowed_ones() {
    let place = Place::new(hook());
    for method in ["GET", "HEAD", "OPTIONS", "post", "BREW"] {
        let answer = place.ask(&format!("{method} /hook"), SECRET, "");
        assert_eq!(status(&answer), 405, "{method}");
        assert!(answer.contains("\r\nallow: POST, PUT\r\n"), "{answer}");
    }
    assert_eq!(status(&place.ask("PUT /hook", SECRET, "")), 202);
    let anything = Place::new(open());
    let tunnel = anything.ask("CONNECT example.org:443", "", "");
    assert_eq!(status(&tunnel), 405);
}

#[test]
fn malformed_http_is_answered_400() {
    let place = Place::new(open());
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = place.send(bytes);
        assert_eq!(status(&answer), 400, "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(place.payloads(), [json!(null); 0]);
    assert_eq!(status(&place.ask("GET /", "", "")), 202);
}

#[test]
fn a_wake_is_given_the_request_without_credentials() {
    let place = Place::new(hook());
    let headers = format!(
        "{SECRET}Authorization: Bearer abc\r\nCookie: sid=1\r\nCookie: b=2\r\nX-Api-Key: k\r\n\
         X-Hub-Signature-256: sha256=00\r\nAccept: a\r\nACCEPT: b\r\nX-Odd: caf\u{e9}\r\n"
    );
    place.ask("POST /hook?a=1&access_token=t&code=c&b=%20", &headers, "{\"n\":\u{0}\"é\"}");
    let mut payload = place.payloads().remove(0);
    let remote = payload["remote"].take();
    assert!(remote.as_str().unwrap().starts_with("127.0.0.1:"), "{remote}");
    let expected = json!({
        "listener": place.address.to_string(),
        "remote": null,
        "method": "POST",
        "target": "/hook?a=1&access_token=[redacted]&code=[redacted]&b=%20",
        "path": "/hook",
        "query": "a=1&access_token=[redacted]&code=[redacted]&b=%20",
        "headers": {
            "host": "x",
            "connection": "close",
            "content-length": "11",
            "x-errand-secret": "[redacted]",
            "authorization": "[redacted]",
            "cookie": "[redacted]",
            "x-api-key": "[redacted]",
            "x-hub-signature-256": "sha256=00",
            "accept": "a, b",
            "x-odd": "caf\u{e9}",
        },
        "body": "{\"n\":\u{0}\"é\"}",
    });
    assert_eq!(payload, expected);
}

#[test]
fn a_binary_body_is_passed_in_base64() {
    let place = Place::new(open());
    let mut request = b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n".to_vec();
    request.extend_from_slice(b"\xff\xfe\n");
    assert_eq!(status(&place.send(request).replace("HTTP/1.0", "HTTP/1.1")), 202);
    let payload = place.payloads().remove(0);
    assert_eq!(payload["body_base64"], "//4K");
    assert!(payload.get("body").is_none() && payload["query"].is_null());
}

#[tokio::test]
async fn a_public_address_without_a_secret_is_not_bound() {
    let at = |listen_addr: &str| ListenerSpec { listen_addr: listen_addr.to_owned(), ..open() };
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:80"] {
        let refused = BoundListener::bind(&at(address)).await.unwrap_err();
        assert!(matches!(refused, Error::Unsafe { .. }), "{address}: {refused:?}");
        assert_eq!(refused.code().as_str(), "listen_unsafe");
    }
    for address in ["", "8080", "localhost", "127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:1"] {
        let refused = BoundListener::bind(&at(address)).await.unwrap_err();
        assert!(matches!(refused, Error::Address { .. }), "{address}: {refused:?}");
    }
    let with_secret = ListenerSpec { listen_addr: "0.0.0.0:0".to_owned(), ..hook() };
    let bound = BoundListener::bind(&with_secret).await.unwrap();
    assert_eq!(bound.listen_addr(), "0.0.0.0:0");
    let taken = format!("127.0.0.1:{}", bound.bound_addr().port());
    let refused = BoundListener::bind(&at(&taken)).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "listen_address_in_use");
    let bad = ListenerSpec { secret_sha256: Some("zz".to_owned()), ..open() };
    assert!(matches!(BoundListener::bind(&bad).await, Err(Error::Secret)));
}
