//! HTTP client of a server, built when the first command needs it.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use errand_api::error_code::ErrorCode;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Url;
use super::answer;
use crate::failure::Failure;

/// Longest time to make a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Interval of checks on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Server of a command, and its source.
#[derive(Debug)]
pub(crate) struct Target {
    /// Address.
    pub(crate) url: Url,
    /// API key.
    key: Option<String>,
    /// Context that names the server; `None`: its address was given.
    pub(crate) context: Option<String>,
}

impl Target {
    /// Parses the address.
    pub(crate) fn new(
        url: &str,
        key: Option<String>,
        context: Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self { url: Url::parse(url)?, key, context })
    }
}

/// Server with the key for it.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    target: Target,
    /// The server is known not to answer at the moment.
    is_lost: AtomicBool,
}

impl Remote {
    /// Builds the client. Nothing is sent yet.
    pub(crate) fn connect(target: Target) -> Result<Self, Failure> {
        // Another part of the program may have installed it: all install the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .tcp_keepalive(KEEPALIVE)
            .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::internal("cannot make an HTTP client", &error))?;
        Ok(Self { client, target, is_lost: AtomicBool::new(false) })
    }

    /// Returns the address.
    pub(super) const fn url(&self) -> &Url {
        &self.target.url
    }

    /// Notes whether the server answers. Returns the value before.
    pub(super) fn set_lost(&self, is_lost: bool) -> bool {
        self.is_lost.swap(is_lost, Ordering::Relaxed)
    }

    /// Makes a request below `/v1`.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let path: Vec<&str> = ["v1"].into_iter().chain(path.iter().copied()).collect();
        let request = self.client.request(method, self.target.url.to(&path));
        match &self.target.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }

    /// Sends a request. Any refusal of the server is a failure.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(answer::refused(&self.target.url, response).await)
    }

    /// Sends a request and parses the JSON of the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            answer::not_a_server(&self.target.url, "its answer cannot be read").because(&error)
        })
    }

    /// Sends a GET request.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// Sends a GET request with parameters.
    pub(super) async fn query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path).query(query)).await
    }

    /// Sends a POST request.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    /// Returns the failure for a missing answer.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if speaks_other_scheme(error) {
            let what = format!("the server {} answers in another protocol", self.target.url);
            let hint = format!("write {}", self.target.url.with_other_scheme());
            return Failure::new(ErrorCode::ServerUnreachable, what).hint(hint);
        }
        let what = format!("the server {} does not answer", self.target.url);
        let failure = Failure::new(ErrorCode::ServerUnreachable, what);
        // The error's own text repeats the address; its source has the cause.
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure.because(error),
        };
        let hint = match &self.target.context {
            Some(name) => format!(
                "is it running? context {name:?} says where: `errand context ls`, and \
                 `--server local` is this machine"
            ),
            None => "is it running, and is that its address? `errand up` starts one".to_owned(),
        };
        failure.hint(hint)
    }
}

/// Returns whether plain HTTP came where TLS was expected, or TLS where plain HTTP was.
fn speaks_other_scheme(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let is_plain_http = error.downcast_ref::<rustls::Error>().is_some_and(|tls| {
            let found = rustls::InvalidMessage::InvalidContentType;
            *tls == rustls::Error::InvalidMessage(found)
        });
        if is_plain_http || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
        {
            return true;
        }
        // An I/O error wraps another error, and returns that one's source as its own.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    false
}
