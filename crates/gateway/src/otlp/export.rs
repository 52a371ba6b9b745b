//! Export of spans, in batches, with retries while the collector may recover. A span is sent once
//! it is over; a run's own span at the end of the run.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use errand_api::config::Otlp;
use errand_engine::{Engine, Error};
use errand_model::{RunId, Timestamp};
use errand_store::{Changes, Filter, Page, StoreChange, Stored};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use super::names;
use super::spans::{Builder, string};
use super::trail::TraceCursor;
use crate::Gateway;

/// Runs whose traces wait; beyond that the oldest are dropped.
const QUEUE: usize = 10_000;
/// Spans in a batch, unless one trace alone has more.
const BATCH: usize = 512;
/// Time for which runs are gathered for a batch.
const GATHER: Duration = Duration::from_millis(250);
/// Interval of checks of the turn and of commits by other processes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Runs that end at almost the same time may become visible in another order.
const SLACK_MS: i64 = 10_000;
/// Statuses of terminal runs.
const OVER: &[&str] = &["completed", "failed", "cancelled"];
/// Statuses of runs that may have finished spans.
const LIVE: &[&str] = &["running", "paused"];
/// Number of runs of each of these statuses that are exported early; the others wait for their end.
const LIVE_RUNS: usize = 1_000;
/// Runs that are listed at once in a search for ended ones.
const PAGE: u32 = 200;
/// Events that are read at once, and the limit for one run.
const EVENTS: u32 = 1_000;
const EVENTS_LIMIT: u64 = 50_000;
/// Time limit of a request to the collector.
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two tries: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Number of tries of a batch, after which it is dropped.
const TRIES: u32 = 12;

/// Client of the collector.
#[derive(Debug)]
pub(crate) struct Sender {
    http: reqwest::Client,
    url: String,
    headers: reqwest::header::HeaderMap,
    /// Resource attributes from the environment, beside errand's own.
    resource: BTreeMap<String, String>,
}

impl Sender {
    /// Creates a client of the collector.
    ///
    /// # Errors
    ///
    /// A description of a wrong address or header; never the header's value.
    pub(crate) fn new(to: &Otlp) -> Result<Self, String> {
        // An earlier call installed the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let base = to.endpoint.trim_end_matches('/');
        let url = if base.ends_with("/v1/traces") {
            base.to_owned()
        } else {
            format!("{base}/v1/traces")
        };
        reqwest::Url::parse(&url).map_err(|error| format!("{url:?} is no address: {error}"))?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &to.headers {
            let refuse = |what: &str| format!("the header {name:?} has no sound {what}");
            let name = reqwest::header::HeaderName::try_from(name).map_err(|_| refuse("name"))?;
            let value = reqwest::header::HeaderValue::try_from(unescaped(value))
                .map_err(|_| refuse("value"))?;
            headers.insert(name, value);
        }
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TRY_LIMIT)
            .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        let escaped = to.resource.iter();
        let mut resource: BTreeMap<String, String> =
            escaped.map(|(name, value)| (name.clone(), unescaped(value))).collect();
        // An explicit service name takes precedence.
        if let Some(name) = &to.service_name {
            resource.insert(names::SERVICE_NAME.to_owned(), name.clone());
        }
        let own = || "errand".to_owned();
        resource.entry(names::SERVICE_NAME.to_owned()).or_insert_with(own);
        Ok(Self { http, url, headers, resource })
    }

    /// Sends until the collector accepts or refuses the body, or all tries are used.
    async fn send(&self, body: Vec<u8>) -> Result<(), String> {
        let mut wait = BACK_OFF.0;
        let mut said = String::new();
        for _ in 0..TRIES {
            match self.once(body.clone()).await {
                Ok(()) => return Ok(()),
                Err(Failed { reason, may_pass: false }) => return Err(reason),
                Err(Failed { reason, may_pass: true }) => said = reason,
            }
            sleep(wait).await;
            wait = wait.saturating_mul(2).min(BACK_OFF.1);
        }
        Err(said)
    }

    async fn once(&self, body: Vec<u8>) -> Result<(), Failed> {
        let request = self
            .http
            .post(&self.url)
            .headers(self.headers.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|error| Failed { reason: error.without_url().to_string(), may_pass: true })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let may_pass = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        Err(Failed { reason: format!("the collector answers {status}"), may_pass })
    }
}

struct Failed {
    reason: String,
    may_pass: bool,
}

/// Decodes values of `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES`, which are
/// percent-encoded.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Exporter of the traces of runs.
#[derive(Debug)]
pub(crate) struct Exporter {
    gateway: Gateway,
    sender: Sender,
    trail: TraceCursor,
    queue: VecDeque<RunId>,
    /// Live runs, with their spans so far.
    live: BTreeMap<RunId, Builder>,
    looked_at: Option<Instant>,
}

impl Exporter {
    /// Creates an exporter for the registry of a gateway.
    pub(crate) fn new(gateway: Gateway, sender: Sender) -> Self {
        let engine = gateway.engine();
        let holder = engine.holder();
        let random = getrandom::u64().unwrap_or_default();
        let trail = TraceCursor::new(format!("{}-{random:016x}", holder.host), engine.now());
        let (queue, live, looked_at) = (VecDeque::new(), BTreeMap::new(), None);
        Self { gateway, sender, trail, queue, live, looked_at }
    }

    /// Exports until the gateway shuts down, and then releases the turn.
    pub(crate) async fn run(mut self) {
        let gateway = self.gateway.clone();
        tokio::select! {
            () = self.send() => {}
            () = gateway.closing() => {}
        }
        self.trail.let_go(gateway.engine()).await;
    }

    async fn send(&mut self) {
        let mut changes = self.gateway.engine().store().changes();
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!("traces wait, the registry fails: {error}");
                sleep(LOOK_EVERY).await;
                continue;
            }
            self.hear(&mut changes).await;
        }
    }

    /// Waits until a run has ended, or may have.
    async fn hear(&mut self, changes: &mut Changes) {
        let until = Instant::now() + LOOK_EVERY;
        loop {
            let heard = tokio::time::timeout_at(until, changes.recv()).await;
            match heard {
                Err(_) => return,
                Ok(Ok(StoreChange::Run { run_id, is_over: true, .. })) => self.wants(run_id),
                Ok(Err(RecvError::Closed)) => return sleep(LOOK_EVERY).await,
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
            }
            if !self.queue.is_empty() {
                break;
            }
        }
        sleep(GATHER).await;
        while let Ok(change) = changes.try_recv() {
            if let StoreChange::Run { run_id, is_over: true, .. } = change {
                self.wants(run_id);
            }
        }
    }

    fn wants(&mut self, run_id: RunId) {
        if self.trail.has(&run_id) || self.queue.contains(&run_id) {
            return;
        }
        if self.queue.len() >= QUEUE {
            self.queue.pop_front();
            self.gateway.metrics().traces_dropped.inc_by(1);
        }
        self.queue.push_back(run_id);
    }

    /// Sends pending spans, if this gateway has the turn.
    async fn look(&mut self) -> Result<(), Error> {
        let engine = self.gateway.engine().clone();
        if !self.trail.keep(&engine).await? {
            // The gateway that has the turn receives the same changes.
            self.queue.clear();
            self.live.clear();
            return Ok(());
        }
        // Hints may be lost, and other processes commit too.
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked_at = Some(Instant::now());
            self.find(&engine).await?;
            self.parts(&engine).await?;
        }
        while !self.queue.is_empty() {
            self.batch(&engine).await?;
        }
        self.trail.keep(&engine).await?;
        Ok(())
    }

    /// Searches for runs that ended since the last one sent.
    async fn find(&mut self, engine: &Engine) -> Result<(), Error> {
        let not_ended_before = Some(self.trail.since(SLACK_MS));
        let mut found = Vec::new();
        for status in OVER {
            let status = Some((*status).to_owned());
            let filter = Filter { not_ended_before, status, ..Filter::default() };
            let mut page = Page { after: None, limit: PAGE };
            while found.len() < QUEUE {
                let (runs, _) = engine.store().list(&filter, &page).await?;
                let Some(last) = runs.last() else { break };
                page.after = Some(last.run.id.clone());
                found.extend(runs.into_iter().filter_map(|stored| {
                    let ended_at = stored.run.status.ended_at()?;
                    Some((ended_at, stored.run.id))
                }));
            }
        }
        found.sort();
        for (_, run_id) in found {
            self.wants(run_id);
        }
        Ok(())
    }

    /// Sends finished spans of live runs.
    async fn parts(&mut self, engine: &Engine) -> Result<(), Error> {
        let mut read = BTreeMap::new();
        for status in LIVE {
            let filter = Filter { status: Some((*status).to_owned()), ..Filter::default() };
            let mut page = Page { after: None, limit: PAGE };
            let mut count = 0;
            while count < LIVE_RUNS {
                let (runs, _) = engine.store().list(&filter, &page).await?;
                let Some(last) = runs.last() else { break };
                page.after = Some(last.run.id.clone());
                count += runs.len();
                for stored in &runs {
                    let builder = self.builder(engine, stored).await?;
                    read.insert(stored.run.id.clone(), builder);
                }
            }
        }
        self.live = read;
        let (mut spans, mut far) = (Vec::new(), Vec::new());
        for (run_id, builder) in &mut self.live {
            let over = builder.take_over();
            if !over.is_empty() {
                far.push((run_id.clone(), builder.seen_up_to()));
                spans.extend(over);
            }
        }
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH));
            drop(self.deliver(engine, std::mem::replace(&mut spans, rest)).await);
        }
        for (run_id, seq) in far {
            self.trail.sent_so_far(run_id, seq);
        }
        Ok(())
    }

    /// Returns the spans of a run up to the present end of its journal.
    async fn builder(&mut self, engine: &Engine, stored: &Stored) -> Result<Builder, Error> {
        let run_id = &stored.run.id;
        let mut builder = match self.live.remove(run_id) {
            Some(builder) => builder,
            None => Builder::new(&stored.run, self.trail.sent_up_to(run_id)),
        };
        while builder.seen_up_to() < stored.head.seq.min(EVENTS_LIMIT) {
            let events = engine.store().events(run_id, builder.seen_up_to(), EVENTS).await?;
            if events.is_empty() {
                break;
            }
            events.iter().for_each(|event| builder.push(event));
        }
        Ok(builder)
    }

    /// Sends spans.
    ///
    /// # Errors
    ///
    /// The last error, if the spans are dropped.
    async fn deliver(&self, engine: &Engine, spans: Vec<Span>) -> Result<(), String> {
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let body = self.sender.request(engine, spans).encode_to_vec();
        self.sender.send(body).await.inspect_err(|reason| {
            tracing::warn!(spans = count, "spans are given up: {reason}");
        })?;
        self.gateway.metrics().spans_sent.inc_by(count);
        Ok(())
    }

    /// Sends the traces of the first runs in the queue.
    async fn batch(&mut self, engine: &Engine) -> Result<(), Error> {
        let mut spans = Vec::new();
        let mut ended = BTreeMap::new();
        while spans.len() < BATCH
            && let Some(run_id) = self.queue.pop_front()
        {
            if let Some((ended_at, mut trace)) = self.trace(engine, &run_id).await? {
                spans.append(&mut trace);
                ended.insert(run_id, ended_at);
            }
        }
        if spans.is_empty() {
            return Ok(());
        }
        if self.deliver(engine, spans).await.is_err() {
            let dropped = u64::try_from(ended.len()).unwrap_or(u64::MAX);
            self.gateway.metrics().traces_dropped.inc_by(dropped);
        }
        for (run_id, ended_at) in ended {
            self.trail.sent(run_id, ended_at);
        }
        Ok(())
    }

    /// Returns the unsent spans of a run, and the time of its end; `None`: it is live or removed.
    async fn trace(
        &mut self,
        engine: &Engine,
        run_id: &RunId,
    ) -> Result<Option<(Timestamp, Vec<Span>)>, Error> {
        let stored = match engine.store().load(run_id).await {
            Ok(Some(stored)) => stored,
            // An unreadable run has no trace; lists of runs report it.
            Ok(None) | Err(errand_store::Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(ended_at) = stored.run.status.ended_at() else { return Ok(None) };
        let builder = self.builder(engine, &stored).await?;
        Ok(Some((ended_at, builder.finish(&stored.run))))
    }
}

impl Sender {
    /// Returns the request body: spans with the attributes of their service.
    fn request(&self, engine: &Engine, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let version = env!("CARGO_PKG_VERSION");
        let mut all = self.resource.clone();
        all.entry(names::SERVICE_VERSION.to_owned()).or_insert_with(|| version.to_owned());
        let host = || engine.holder().host.clone();
        all.entry(names::SERVICE_INSTANCE_ID.to_owned()).or_insert_with(host);
        let attributes = all.iter().map(|(name, value)| string(name, value.as_str())).collect();
        let resource = Resource { attributes, ..Resource::default() };
        let scope = InstrumentationScope {
            name: "errand".to_owned(),
            version: version.to_owned(),
            ..InstrumentationScope::default()
        };
        let schema_url = names::SCHEMA_URL.to_owned();
        let scope_spans = ScopeSpans { scope: Some(scope), spans, schema_url: schema_url.clone() };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope_spans],
                schema_url,
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_percent_escapes_in_header_values_are_decoded() {
        assert_eq!(unescaped("Basic%20abc%3D"), "Basic abc=");
        assert_eq!(unescaped("100% sure"), "100% sure");
    }
}
