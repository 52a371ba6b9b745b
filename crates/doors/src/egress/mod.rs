//! Proxy of an agent whose sandbox has a network with errand alone: requests to hosts that its
//! policies allow.
//!
//! A client sends `CONNECT host:port`, or a request with a whole `http` URL. The policies are asked,
//! the name is resolved once, by errand, and only addresses that were checked are connected to.

mod counted;
mod dial;
mod forward;
mod target;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_agent::agent_api::{ConnectionFailure, EgressKind, EgressTarget, EndedConnection};
use errand_agent::model_door::RELAY_PORT;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Response};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use self::counted::Counts;
use self::dial::Dialled;
use crate::bounds;
use crate::context::DoorContext;
use crate::respond::{DoorBody, response};

/// Name of the user in the addresses of the proxy; the password is the token of the attempt.
const USER: &str = "errand";
/// Address of the door for an agent with a network of its own.
const OWN_AUTHORITY: (&str, u16) = ("127.0.0.1", RELAY_PORT);
/// Scheme of the credentials.
const BASIC: &[u8] = b"basic ";

/// The proxy of a door.
#[derive(Debug)]
pub(crate) struct EgressProxy {
    /// Places of connections that are open at the same time.
    places: Arc<Semaphore>,
    /// Connections that were asked for.
    asked: AtomicU64,
}

impl Default for EgressProxy {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(bounds::TUNNELS));
        Self { places, asked: AtomicU64::new(0) }
    }
}

/// Returns true if a request is one for a proxy.
pub(crate) fn is_for_proxy<B>(request: &Request<B>) -> bool {
    // A client that does not know `NO_PROXY` sends requests to the door itself in that form, too.
    let is_own = request
        .uri()
        .authority()
        .is_some_and(|it| (it.host(), it.port_u16().unwrap_or(80)) == OWN_AUTHORITY);
    request.method() == Method::CONNECT || (request.uri().scheme().is_some() && !is_own)
}

/// Returns the variables in which programs look for a proxy.
pub(crate) fn variables(origin: &str, token: &str) -> Vec<(&'static str, String)> {
    let url = origin.replacen("://", &format!("://{USER}:{token}@"), 1);
    let none = "localhost,127.0.0.1,::1".to_owned();
    let mut all: Vec<(&'static str, String)> =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .map(|name| (name, url.clone()))
            .into();
    all.extend([("NO_PROXY", none.clone()), ("no_proxy", none)]);
    // Node reads the others only then.
    all.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
    all
}

/// A connection that an agent asks for.
pub(crate) struct AskedConnection {
    door: Arc<DoorContext>,
    to: EgressTarget,
    began: Instant,
}

/// Answers a request for a proxy.
pub(crate) async fn answer(
    door: Arc<DoorContext>,
    proxy: &EgressProxy,
    request: Request<Incoming>,
) -> Response<DoorBody> {
    if !has_token(door.token(), request.headers()) {
        let mut refused = response(407, "the token of the attempt is missing: use $HTTPS_PROXY\n");
        let basic = HeaderValue::from_static("Basic realm=\"errand\"");
        refused.headers_mut().insert(PROXY_AUTHENTICATE, basic);
        return refused;
    }
    let to = match target::of(&request) {
        Ok(to) => to,
        Err(problem) => return response(400, format!("{problem}\n")),
    };
    let Ok(place) = Arc::clone(&proxy.places).try_acquire_owned() else {
        let most = bounds::TUNNELS;
        return response(503, format!("{most} connections are open: close one of them\n"));
    };
    if proxy.asked.fetch_add(1, Ordering::Relaxed) >= bounds::EGRESS_CONNECTIONS {
        let most = bounds::EGRESS_CONNECTIONS;
        return response(429, format!("this attempt has asked for {most} connections\n"));
    }
    let asked = AskedConnection { door, to, began: Instant::now() };
    match asked.dialled().await {
        Ok(dialled) => match asked.to.kind {
            EgressKind::Tunnel => tunnel::answer(asked, dialled, place, request),
            EgressKind::Request => forward::answer(asked, dialled, place, request).await,
        },
        Err(failure) => {
            let (status, reason) = match &failure {
                ConnectionFailure::Denied(reason) => (403, reason.clone()),
                ConnectionFailure::Unreachable(reason) => (502, reason.clone()),
            };
            asked.ended(None, Some(failure), &Counts::default()).await;
            response(status, format!("{reason}\n"))
        }
    }
}

impl AskedConnection {
    /// Asks the policies, resolves the name, and connects.
    async fn dialled(&self) -> Result<Dialled, ConnectionFailure> {
        let permit = self.door.backend().permit_connection(&self.to).await;
        let permit = permit.map_err(|refusal| ConnectionFailure::Denied(refusal.message))?;
        dial::dial(&self.to, &permit).await
    }

    /// Records the end of the connection.
    async fn ended(
        self,
        dialled: Option<std::net::IpAddr>,
        failure: Option<ConnectionFailure>,
        counts: &Counts,
    ) {
        let (sent_bytes, received_bytes) = counts.both();
        let ended = EndedConnection {
            to: self.to,
            address: dialled,
            failure,
            sent_bytes,
            received_bytes,
            took: self.began.elapsed(),
        };
        // The journal is lost, which ends the attempt elsewhere.
        drop(self.door.backend().connection_ended(ended).await);
    }
}

/// Returns true if the token of the attempt is the password of a request.
fn has_token(token: &[u8], headers: &HeaderMap) -> bool {
    let given = headers.get(PROXY_AUTHORIZATION).and_then(|value| {
        let (scheme, given) = value.as_bytes().split_at_checked(BASIC.len())?;
        scheme.eq_ignore_ascii_case(BASIC).then_some(given)
    });
    let decoded = given.and_then(|given| BASE64_STANDARD.decode(given.trim_ascii()).ok());
    let password = decoded.as_deref().and_then(|both| both.splitn(2, |byte| *byte == b':').nth(1));
    password.is_some_and(|password| bool::from(password.ct_eq(token)))
}
