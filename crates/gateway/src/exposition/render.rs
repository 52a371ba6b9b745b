//! All metrics as `OpenMetrics` 1.0 text.
//!
//! Names never change, since dashboards depend on them. Each ends with its unit.

use std::fmt;
use std::sync::Arc;

use errand_api::worker::Worker;
use errand_engine::metrics::{Counter, DELIVERIES, Histogram, Metrics as Engine, STATUSES};
use errand_model::{DEFAULT_NAMESPACE, Timestamp};
use errand_store::{QueuedCount, UnfinishedCounts};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::{RegistryFigures, process};
use crate::Gateway;

/// Sources of the metrics.
#[derive(Debug)]
struct All {
    engine: Arc<Engine>,
    gateway: Option<Gateway>,
    asked: Option<RegistryFigures>,
    now: Timestamp,
}

/// Renders the text. `gateway`: `None` in a process without one; `asked`: `None` if the registry
/// did not answer.
pub(crate) fn render(
    engine: &errand_engine::Engine,
    gateway: Option<Gateway>,
    asked: Option<RegistryFigures>,
) -> Result<String, fmt::Error> {
    let all = All { engine: Arc::clone(engine.metrics()), gateway, asked, now: engine.now() };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(all));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer { encoder: &mut encoder };
        if let Some(asked) = &self.asked {
            queue(&mut to, &asked.waiting, self.now)?;
            standing(&mut to, &asked.standing, self.now)?;
            workers(&mut to, &asked.workers)?;
        }
        runs(&mut to, &self.engine)?;
        attempts(&mut to, &self.engine)?;
        models(&mut to, &self.engine)?;
        webhooks(&mut to, &self.engine)?;
        store(&mut to, &self.engine)?;
        if let Some(gateway) = &self.gateway {
            http(&mut to, gateway)?;
        }
        itself(&mut to)
    }
}

/// Writer of single metrics.
struct Writer<'e, 'd> {
    encoder: &'e mut DescriptorEncoder<'d>,
}

impl Writer<'_, '_> {
    fn describe(
        &mut self,
        (name, help): (&str, &str),
        unit: Option<&Unit>,
        kind: MetricType,
        write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(self.encoder.encode_descriptor(name, help, unit, kind)?)
    }

    /// Writes a counter without labels.
    fn counter(&mut self, name: (&str, &str), value: u64) -> fmt::Result {
        self.describe(name, None, MetricType::Counter, |mut to| count(&mut to, value))
    }

    /// Writes a counter for each set of labels.
    fn counters<S: EncodeLabelSet>(
        &mut self,
        name: (&str, &str),
        values: impl IntoIterator<Item = (S, u64)>,
    ) -> fmt::Result {
        self.describe(name, None, MetricType::Counter, |mut to| {
            values
                .into_iter()
                .try_for_each(|(labels, value)| count(&mut to.encode_family(&labels)?, value))
        })
    }

    /// Writes a gauge for each set of labels.
    fn gauges<S: EncodeLabelSet>(
        &mut self,
        name: (&str, &str),
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (S, f64)>,
    ) -> fmt::Result {
        self.describe(name, unit, MetricType::Gauge, |mut to| {
            values
                .into_iter()
                .try_for_each(|(labels, value)| to.encode_family(&labels)?.encode_gauge(&value))
        })
    }

    /// Writes a gauge without labels.
    fn gauge(&mut self, name: (&str, &str), unit: Option<&Unit>, value: f64) -> fmt::Result {
        self.describe(name, unit, MetricType::Gauge, |mut to| to.encode_gauge(&value))
    }

    /// Writes a histogram of seconds for each set of labels.
    fn seconds<S: EncodeLabelSet>(
        &mut self,
        name: (&str, &str),
        values: impl IntoIterator<Item = (S, Arc<Histogram>)>,
    ) -> fmt::Result {
        self.describe(name, Some(&Unit::Seconds), MetricType::Histogram, |mut to| {
            values.into_iter().try_for_each(|(labels, histogram)| {
                buckets(&mut to.encode_family(&labels)?, &histogram)
            })
        })
    }

    /// Writes a histogram of seconds without labels.
    fn seconds_of(&mut self, name: (&str, &str), histogram: &Histogram) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        self.describe(name, unit, MetricType::Histogram, |mut to| buckets(&mut to, histogram))
    }
}

fn count(to: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    let none: Option<&Exemplar<NoLabelSet, u64>> = None;
    to.encode_counter(&value, none)
}

fn buckets(to: &mut MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let snapshot = histogram.snapshot();
    let bounds = snapshot.bounds.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(snapshot.counts.iter().copied()).collect();
    let count = snapshot.counts.iter().sum();
    to.encode_histogram::<NoLabelSet>(snapshot.sum.as_secs_f64(), count, &buckets, None)
}

/// Converts a count for a gauge. Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "gauges of this format are floats")]
fn float(value: u64) -> f64 {
    value as f64
}

fn queue(to: &mut Writer<'_, '_>, waiting: &[QueuedCount], now: Timestamp) -> fmt::Result {
    let name = |it: &QueuedCount| {
        let namespace = it.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        [("namespace", namespace)]
    };
    to.gauges(
        ("errand_queue_ready_runs", "Runs that any worker with room may claim"),
        None,
        waiting.iter().map(|it| (name(it), float(it.ready))),
    )?;
    to.gauges(
        ("errand_queue_delayed_runs", "Runs that wait for their time"),
        None,
        waiting.iter().map(|it| (name(it), float(it.delayed))),
    )?;
    to.gauges(
        ("errand_queue_oldest_ready", "How long the run waits that waits longest"),
        Some(&Unit::Seconds),
        waiting.iter().map(|it| {
            let since = it.oldest_ready_at.map(|at| now.since(at)).unwrap_or_default();
            (name(it), since.as_secs_f64())
        }),
    )
}

/// Statuses of live runs.
const LIVE: [&str; 3] = ["pending", "running", "paused"];

fn standing(to: &mut Writer<'_, '_>, standing: &UnfinishedCounts, now: Timestamp) -> fmt::Result {
    let count = |status: &str| {
        let of = standing.live.iter().find(|(name, _)| name == status);
        of.map_or(0, |(_, count)| *count)
    };
    to.gauges(
        ("errand_live_runs", "Runs that are not over, by status"),
        None,
        LIVE.map(|status| ([("status", status)], float(count(status)))),
    )?;
    to.gauge(
        ("errand_open_approvals", "Approvals and inputs that wait for a person"),
        None,
        float(standing.open_questions),
    )?;
    let since = standing.oldest_question_at.map(|at| now.since(at)).unwrap_or_default();
    to.gauge(
        ("errand_open_approvals_oldest", "How long the one waits that waits longest"),
        Some(&Unit::Seconds),
        since.as_secs_f64(),
    )
}

fn workers(to: &mut Writer<'_, '_>, workers: &[Worker]) -> fmt::Result {
    let name = |worker: &Worker| [("worker", worker.name.clone())];
    to.gauges(
        ("errand_worker_slots", "Runs that a worker carries out at once at most"),
        None,
        workers.iter().map(|worker| (name(worker), f64::from(worker.slots))),
    )?;
    to.gauges(
        ("errand_worker_busy_slots", "Runs that a worker carries out"),
        None,
        workers.iter().map(|worker| (name(worker), f64::from(worker.busy))),
    )
}

fn runs(to: &mut Writer<'_, '_>, engine: &Engine) -> fmt::Result {
    to.counter(("errand_runs_admitted", "Runs that were admitted"), engine.admitted.get())?;
    let statuses = STATUSES.iter().zip(&engine.transitions);
    to.counters(
        ("errand_runs_transitions", "How often runs came to a status"),
        statuses.map(|(status, counter)| ([("status", *status)], counter.get())),
    )?;
    to.counters(
        ("errand_runs_requeued", "How often runs went back into the queue"),
        by_name("reason", engine.requeued.all()),
    )?;
    to.counter(
        ("errand_runs_dead_lettered", "Runs whose attempts are spent"),
        engine.dead_lettered.get(),
    )?;
    to.seconds(
        ("errand_run_duration", "From admission to the end of a run"),
        engine.durations.all().into_iter().map(|((agent, status), histogram)| {
            ([("agent", agent), ("status", status.to_owned())], histogram)
        }),
    )?;
    to.seconds_of(
        ("errand_claim_latency", "From when a run could be claimed until it was"),
        &engine.claim_latency,
    )
}

fn by_name<K: Into<String>>(
    label: &'static str,
    all: Vec<(K, Arc<Counter>)>,
) -> impl Iterator<Item = ([(&'static str, String); 1], u64)> {
    all.into_iter().map(move |(name, counter)| ([(label, name.into())], counter.get()))
}

fn attempts(to: &mut Writer<'_, '_>, engine: &Engine) -> fmt::Result {
    to.counter(("errand_attempts_started", "Attempts that began"), engine.attempts.get())?;
    to.counters(
        ("errand_attempts_failed", "Attempts that failed, by error code"),
        by_name("code", engine.attempts_failed.all()),
    )?;
    to.counter(
        ("errand_leases_lost", "Leases that this process held and lost"),
        engine.leases_lost.get(),
    )?;
    to.counter(
        ("errand_leases_renewed", "Leases that this process renewed"),
        engine.leases_renewed.get(),
    )?;
    to.counter(
        ("errand_leases_taken_over", "Leases taken from holders that were lost"),
        engine.leases_taken.get(),
    )
}

fn models(to: &mut Writer<'_, '_>, engine: &Engine) -> fmt::Result {
    let models = engine.models.all();
    let name = |(provider, model): &(String, String)| {
        [("provider", provider.clone()), ("model", model.clone())]
    };
    to.counters(
        ("errand_model_calls", "Calls of models"),
        models.iter().map(|(of, used)| (name(of), used.calls.get())),
    )?;
    let tokens = models.iter().flat_map(|(of, used)| {
        let kinds = [
            ("input", &used.input),
            ("cached_input", &used.cached),
            ("output", &used.output),
            ("reasoning_output", &used.reasoning),
        ];
        let [provider, model] = name(of);
        kinds.map(|(kind, counter)| {
            ([provider.clone(), model.clone(), ("kind", kind.to_owned())], counter.get())
        })
    });
    to.counters(
        ("errand_model_tokens", "Tokens: input contains cached_input, output reasoning_output"),
        tokens,
    )?;
    to.counters(
        ("errand_model_cost_micro_usd", "What calls cost, in millionths of a US dollar"),
        models.iter().map(|(of, used)| (name(of), used.micro_usd.get())),
    )?;
    to.counters(
        ("errand_model_calls_unpriced", "Calls whose cost is not known"),
        models.iter().map(|(of, used)| (name(of), used.unpriced.get())),
    )
}

fn webhooks(to: &mut Writer<'_, '_>, engine: &Engine) -> fmt::Result {
    let outcomes = DELIVERIES.iter().zip(&engine.deliveries);
    to.counters(
        ("errand_webhook_deliveries", "Tries to report a run to its callback address"),
        outcomes.map(|(outcome, counter)| ([("outcome", *outcome)], counter.get())),
    )
}

fn store(to: &mut Writer<'_, '_>, engine: &Engine) -> fmt::Result {
    to.seconds_of(
        ("errand_store_commit", "How long the store took to make a change durable"),
        &engine.commits,
    )?;
    to.counter(
        ("errand_store_commits_failed", "Changes that the store refused or could not make"),
        engine.commits_failed.get(),
    )
}

fn http(to: &mut Writer<'_, '_>, gateway: &Gateway) -> fmt::Result {
    let metrics = gateway.metrics();
    to.counters(
        ("errand_http_requests", "Answers by route and status"),
        metrics.answers.all().into_iter().map(|((route, status), counter)| {
            ([("route", route), ("status", status)], counter.get())
        }),
    )?;
    to.seconds(
        ("errand_http_request_duration", "Until the head of the answer"),
        metrics
            .durations
            .all()
            .into_iter()
            .map(|(route, histogram)| ([("route", route)], histogram)),
    )?;
    to.counter(
        ("errand_otlp_spans_sent", "Spans that a collector took"),
        metrics.spans_sent.get(),
    )?;
    to.counter(
        ("errand_otlp_traces_dropped", "Traces of runs that were given up"),
        metrics.traces_dropped.get(),
    )?;
    to.gauge(
        ("errand_http_streams", "Streams of events that are open"),
        None,
        float(metrics.streaming()),
    )
}

fn itself(to: &mut Writer<'_, '_>) -> fmt::Result {
    let used = process::used();
    to.gauges(
        ("errand_build_info", "The version of this process; always 1"),
        None,
        [([("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    )?;
    if let Some(started_at) = process::started_at() {
        to.gauge(
            ("process_start_time", "When this process began, since the epoch"),
            Some(&Unit::Seconds),
            started_at,
        )?;
    }
    to.gauge(
        ("process_resident_memory", "Resident memory of this process"),
        Some(&Unit::Bytes),
        float(used.resident_bytes),
    )?;
    to.describe(
        ("process_cpu", "Time on processors"),
        Some(&Unit::Seconds),
        MetricType::Counter,
        |mut to| {
            let none: Option<&Exemplar<NoLabelSet, f64>> = None;
            to.encode_counter(&(float(used.cpu_millis) / 1_000.0), none)
        },
    )?;
    to.gauge(("process_open_fds", "Open files"), None, float(used.open_fds))
}
