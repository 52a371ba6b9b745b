//! Figures from the registry, read for each scrape: the same from every process on it.

use errand_api::worker::Worker;
use errand_engine::metrics::{Labels, MetricTable};
use errand_engine::{Engine, Error, workers};
use errand_model::{DEFAULT_NAMESPACE, Timestamp};
use errand_store::{QueuedCount, UnfinishedCounts};

use super::gauge::{float, gauge, gauges};

/// Statuses of live runs.
const LIVE: [&str; 3] = ["pending", "running", "paused"];

/// Figures of the registry.
#[derive(Debug)]
pub(crate) struct RegistryFigures {
    /// The queue, by namespace.
    waiting: Vec<QueuedCount>,
    /// Live runs and open questions.
    standing: UnfinishedCounts,
    /// Workers with a recent heartbeat.
    workers: Vec<Worker>,
}

impl RegistryFigures {
    /// Reads the figures.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub(crate) async fn of(engine: &Engine) -> Result<Self, Error> {
        let mut waiting = engine.store().waiting(engine.now()).await?;
        if waiting.iter().all(|it| it.namespace.is_some()) {
            // An absent gauge for an empty queue would look like a failed scrape.
            waiting.insert(
                0,
                QueuedCount { namespace: None, ready: 0, delayed: 0, oldest_ready_at: None },
            );
        }
        let standing = engine.store().standing().await?;
        let workers = workers::list(engine).await?;
        Ok(Self { waiting, standing, workers })
    }

    /// Returns all gauges.
    pub(super) fn table(&self, now: Timestamp) -> MetricTable {
        let mut table = MetricTable::default();
        self.describe_queue(&mut table, now);
        self.describe_runs(&mut table, now);
        self.describe_workers(&mut table);
        table
    }

    fn describe_queue(&self, table: &mut MetricTable, now: Timestamp) {
        let of_each = |value: fn(&QueuedCount, Timestamp) -> f64| {
            gauges(self.waiting.iter().map(|it| (namespace(it), value(it, now))))
        };
        table.add(
            "errand_queue_ready_runs",
            "Runs that any worker with room may claim",
            of_each(|it, _| float(it.ready)),
        );
        table.add(
            "errand_queue_delayed_runs",
            "Runs that wait for their time",
            of_each(|it, _| float(it.delayed)),
        );
        table.add(
            "errand_queue_oldest_ready_seconds",
            "How long the run waits that waits longest",
            of_each(|it, now| seconds_since(it.oldest_ready_at, now)),
        );
    }

    fn describe_runs(&self, table: &mut MetricTable, now: Timestamp) {
        let count = |status: &str| {
            let of = self.standing.live.iter().find(|(name, _)| name == status);
            of.map_or(0, |(_, count)| *count)
        };
        table.add(
            "errand_live_runs",
            "Runs that are not over, by status",
            gauges(LIVE.map(|status| ([("status", status.into())], float(count(status))))),
        );
        table.add(
            "errand_open_approvals",
            "Approvals and inputs that wait for a person",
            gauge(float(self.standing.open_questions)),
        );
        table.add(
            "errand_open_approvals_oldest_seconds",
            "How long the one waits that waits longest",
            gauge(seconds_since(self.standing.oldest_question_at, now)),
        );
    }

    fn describe_workers(&self, table: &mut MetricTable) {
        let of_each = |value: fn(&Worker) -> u32| {
            let name = |it: &Worker| [("worker", it.name.clone().into())];
            gauges(self.workers.iter().map(|it| (name(it), f64::from(value(it)))))
        };
        table.add(
            "errand_worker_slots",
            "Runs that a worker carries out at once at most",
            of_each(|worker| worker.slots),
        );
        table.add(
            "errand_worker_busy_slots",
            "Runs that a worker carries out",
            of_each(|worker| worker.busy),
        );
    }
}

fn namespace(it: &QueuedCount) -> Labels<1> {
    let namespace = it.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    [("namespace", namespace.into())]
}

fn seconds_since(at: Option<Timestamp>, now: Timestamp) -> f64 {
    at.map(|at| now.since(at)).unwrap_or_default().as_secs_f64()
}
