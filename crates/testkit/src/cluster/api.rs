//! Routes of the API server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Shared;
use super::controller;
use super::objects::is_selected;

type Answer = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

/// Serves until the sender is dropped.
pub(super) async fn serve(
    socket: TcpListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = socket.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // The client went away.
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }
    }
}

/// Parts of a request's path.
#[derive(Clone, Debug, Default)]
struct Place {
    namespace: Option<String>,
    resource: String,
    name: Option<String>,
    part: Option<String>,
}

impl Place {
    fn of(path: &str) -> Self {
        let mut words = path.trim_start_matches('/').split('/').map(str::to_owned);
        let versions = if words.next().as_deref() == Some("api") { 1 } else { 2 };
        let mut words = words.skip(versions).peekable();
        let mut place = Self::default();
        if words.peek().map(String::as_str) == Some("namespaces") {
            let _word = words.next();
            place.namespace = words.next();
        }
        place.resource = words.next().unwrap_or_default();
        (place.name, place.part) = (words.next(), words.next());
        place
    }
}

fn json_answer(status: u16, value: &Value) -> Response<Answer> {
    let body: Answer = Box::pin(Full::new(Bytes::from(value.to_string())));
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    let json = hyper::header::HeaderValue::from_static("application/json");
    let _before = response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

fn refused(code: u16, reason: &str, message: &str) -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    json_answer(code, &status)
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let place = Place::of(request.uri().path());
    let query: BTreeMap<String, String> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let method = request.method().clone();
    let scripted = shared.script().refusals.iter().rev().find_map(|refusal| {
        let is_meant = refusal.method == method.as_str() && refusal.resource == place.resource;
        is_meant.then(|| refused(refusal.code, refusal.reason, refusal.message))
    });
    if let Some(refusal) = scripted {
        return Ok(refusal);
    }
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let namespace = place.namespace.clone().unwrap_or_default();
    let key =
        (place.resource.as_str(), namespace.as_str(), place.name.as_deref().unwrap_or_default());
    let not_found = || refused(404, "NotFound", &format!("{key:?} not found"));
    Ok(match (method, &place.name) {
        (Method::GET, None) if query.contains_key("watch") => watch(shared, &place, &query),
        (Method::GET, None) => list(&shared, &place, &query),
        (Method::GET, Some(_)) => {
            let found = shared.objects().get(key.0, key.1, key.2).cloned();
            found.map_or_else(not_found, |found| json_answer(200, &found))
        }
        (Method::POST, None) if key.0 == "selfsubjectaccessreviews" => review(&shared, body),
        (Method::POST, None) if query.contains_key("dryRun") => json_answer(201, &body),
        (Method::POST, None) => {
            let made = shared.change(|objects| objects.create(key.0, key.1, body));
            let taken = || refused(409, "AlreadyExists", "the name is taken");
            made.map_or_else(taken, |made| json_answer(201, &made))
        }
        (Method::POST, Some(_)) if place.part.as_deref() == Some("binding") => {
            let change = json!({ "spec": { "nodeName": body["target"]["name"] } });
            shared.change(|objects| objects.merge(key, &change));
            json_answer(201, &json!({ "kind": "Status", "status": "Success" }))
        }
        (Method::PATCH, Some(_)) => {
            let changed = shared.change(|objects| objects.merge(key, &body));
            changed.map_or_else(not_found, |changed| json_answer(200, &changed))
        }
        (Method::DELETE, Some(_)) => {
            let grace = body["gracePeriodSeconds"].as_u64().unwrap_or(30);
            let removed = shared.change(|objects| controller::delete(objects, key, grace));
            removed.map_or_else(not_found, |removed| json_answer(200, &removed))
        }
        _ => refused(405, "MethodNotAllowed", "the test's API server does not have this"),
    })
}

/// Decodes a value of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let value = match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            b'+' => b' ',
            other => other,
        };
        bytes.push(value);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn review(shared: &Shared, mut body: Value) -> Response<Answer> {
    let asked = &body["spec"]["resourceAttributes"];
    let asked = (asked["verb"].as_str(), asked["resource"].as_str());
    let is_denied = shared
        .script()
        .denied
        .iter()
        .any(|(verb, resource)| asked == (Some(verb.as_str()), Some(resource.as_str())));
    body["status"] = json!({ "allowed": !is_denied });
    json_answer(201, &body)
}

fn is_wanted(object: &Value, place: &Place, query: &BTreeMap<String, String>) -> bool {
    let of_namespace = place.namespace.as_deref();
    let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
    let field = query.get("fieldSelector").map(String::as_str).unwrap_or_default();
    let involved = field.split(',').find_map(|pair| pair.strip_prefix("involvedObject.name="));
    of_namespace.is_none_or(|it| object["metadata"]["namespace"].as_str() == Some(it))
        && is_selected(object, selector)
        && involved.is_none_or(|it| object["involvedObject"]["name"].as_str() == Some(it))
}

fn list(shared: &Shared, place: &Place, query: &BTreeMap<String, String>) -> Response<Answer> {
    let objects = shared.objects();
    let all = objects.all(&place.resource).into_iter();
    let items: Vec<Value> = all.filter(|object| is_wanted(object, place, query)).collect();
    let version = objects.version().to_string();
    json_answer(
        200,
        &json!({
            "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version },
            "items": items,
        }),
    )
}

fn watch(shared: Arc<Shared>, place: &Place, query: &BTreeMap<String, String>) -> Response<Answer> {
    shared.script().watches += 1;
    let from = query.get("resourceVersion").and_then(|it| it.parse().ok()).unwrap_or_default();
    let (changed, mut cut) = (shared.changed.subscribe(), shared.cut.subscribe());
    cut.mark_unchanged();
    let state = (shared, changed, from, place.clone(), query.clone(), false);
    let events =
        stream::unfold(state, |(shared, mut changed, from, place, query, is_over)| async move {
            if is_over {
                return None;
            }
            loop {
                changed.mark_unchanged();
                let Some(changes) = shared.objects().since(from) else {
                    let gone = json!({ "type": "ERROR", "object": {
                    "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
                    "message": "too old resource version",
                } });
                    let state = (shared, changed, from, place, query, true);
                    return Some((format!("{gone}\n"), state));
                };
                let Some(last) = changes.last().map(|change| change.version) else {
                    changed.changed().await.ok()?;
                    continue;
                };
                let of_place = changes.into_iter().filter(|change| {
                    change.resource == place.resource && is_wanted(&change.object, &place, &query)
                });
                let lines: String = of_place
                    .map(|it| format!("{}\n", json!({ "type": it.what, "object": it.object })))
                    .collect();
                return Some((lines, (shared, changed, last, place, query, false)));
            }
        });
    let ended = async move { drop(cut.changed().await) };
    let frames: Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>> = Box::pin(
        events.take_until(Box::pin(ended)).map(|lines| Ok(Frame::data(Bytes::from(lines)))),
    );
    Response::new(Box::pin(StreamBody::new(frames)))
}
