//! Firing of wakes, and the set of running ones.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_agent::log;
use errand_agent::parcel::Parcel;
use errand_agent::target::Chunk;
use errand_model::event::{
    CancelCause, Overlap, Respond, RunKind, Trigger, TriggerKind, WakeEnded, WakeFired, WakeReason,
    WakeSkipped,
};
use errand_model::run::{
    CallerCommand, Cancel, EndWake, FireWake, Run, SessionSchedule, SkipWake, Status, WakeService,
};
use errand_model::schedule::{ParsedSchedule, may_overlap};
use errand_model::{Payload, RunId, Timestamp};
use errand_store::{Admission, Stored};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::echo::Echo;
use super::ingress::Arrival;
use super::wake::{Active, EndedWake, Reply, Wake};
use super::wake_end;
use crate::admit;
use crate::journal::Journal;
use crate::listener::IngressOutcome;
use crate::payload::stored_word;
use crate::run_options::RunOptions;
use crate::submission::{CheckedSubmission, Lineage, Submission};
use crate::supervise::{ControlState, SupervisorChannels, supervise_boxed};
use crate::{Engine, Error, payload};

/// Wakes of one attempt of a service.
#[derive(Debug)]
pub(super) struct Wakes {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    parcel: Parcel,
    attempt: u32,
    /// Log for people; `None` if it cannot be written: the journal has all of it.
    log: Option<log::Writer>,
    clockworks: Vec<ParsedSchedule>,
    under_way: JoinSet<Result<Stored, Error>>,
    active: BTreeMap<Id, Active>,
    orders: watch::Sender<ControlState>,
    /// Output for the terminal of a service in the foreground.
    echo: Echo,
    /// True if the attempt is about to end: an agent that a signal ends now did not fail by itself.
    is_winding_down: bool,
}

const HEARTBEAT: &str = "heartbeat";

impl Wakes {
    pub(super) fn new(
        engine: &Engine,
        journal: &Journal,
        parcel: Parcel,
        (attempt, tee): (u32, Option<mpsc::Sender<Chunk>>),
    ) -> Result<Self, Error> {
        let schedules =
            journal.look(|run, _| run.spec.service.as_ref().map(|s| s.schedules.clone()));
        let clockworks = schedules
            .unwrap_or_default()
            .iter()
            .map(ParsedSchedule::of)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            engine: engine.clone(),
            journal: journal.clone(),
            parcel,
            attempt,
            log: log::Writer::open(&engine.registry().run_log(journal.run_id())).ok(),
            clockworks,
            under_way: JoinSet::new(),
            active: BTreeMap::new(),
            orders: watch::Sender::new(ControlState::default()),
            echo: Echo::to(tee),
            is_winding_down: false,
        })
    }

    /// Writes a line to the service's log.
    pub(super) fn say(&self, text: &str) {
        if let Some(log) = &self.log {
            log.system(text);
        }
    }

    /// Fires or skips all due slots, and returns when to look again.
    pub(super) async fn fire_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let now = self.engine.now();
        let (schedules, since) = self.journal.look(|run, _| {
            let schedules = run.service.as_ref().map(|s| s.schedules.clone()).unwrap_or_default();
            (schedules, run.created_at)
        });
        let mut next: Option<Timestamp> = None;
        for (index, schedule) in schedules.iter().enumerate() {
            self.fire_schedule(index, schedule, since, now).await?;
            let later = self.clockworks[index].next_after(now);
            next = next.into_iter().chain(later).min();
        }
        let beat = self.fire_heartbeat(now).await?;
        Ok(next.into_iter().chain(beat).min())
    }

    async fn fire_schedule(
        &mut self,
        index: usize,
        schedule: &SessionSchedule,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let due = self.clockworks[index].due(schedule, since, now);
        let spec = &schedule.spec;
        if due.fire.is_empty() && due.skipped.is_none() {
            return Ok(());
        }
        let is_busy = self.active.values().any(|active| active.source == spec.id);
        if is_busy && spec.overlap == Overlap::Queue {
            // The slot stays due, and is checked again when the previous wake ends.
            return Ok(());
        }
        if let Some((slots, slot)) = due.skipped {
            let why = "missed while the service was not there to fire it";
            self.skip(WakeReason::Schedule, Some(spec.id.clone()), (slots, slot), why).await?;
        }
        for slot in due.fire {
            let is_busy = self.active.values().any(|active| active.source == spec.id);
            if !may_overlap(spec.overlap, is_busy) {
                let why = "the wake before it still runs";
                self.skip(WakeReason::Schedule, Some(spec.id.clone()), (1, slot), why).await?;
                continue;
            }
            let input = self.bytes(spec.payload.as_ref());
            let trigger = Trigger {
                kind: TriggerKind::Schedule,
                source: Some(spec.schedule_expr.clone()),
                payload: Some(serde_json::json!({ "slot_ms": slot, "schedule_id": spec.id })),
            };
            let (source, slot) = (Some(spec.id.clone()), Some(slot));
            let wake = Wake::new(WakeReason::Schedule, trigger);
            self.fire(Wake { source, slot, input, ..wake }).await?;
        }
        Ok(())
    }

    /// Fires the heartbeat if it is due, and returns when the next one is.
    async fn fire_heartbeat(&mut self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let beat = self.journal.look(|run, _| {
            let (spec, service) = (run.spec.service.as_ref()?, run.service.as_ref()?);
            let last = service.last_heartbeat_at.or(run.started_at).unwrap_or(run.created_at);
            spec.heartbeat
                .then(|| (last.plus(spec.interval), spec.interval, spec.heartbeat_input.clone()))
        });
        let Some((due_at, interval, input)) = beat else { return Ok(None) };
        if now < due_at {
            return Ok(Some(due_at));
        }
        if self.active.values().any(|active| active.source == HEARTBEAT) {
            let why = "the heartbeat before it still runs";
            self.skip(WakeReason::Heartbeat, None, (1, now), why).await?;
        } else {
            let input = self.bytes(input.as_ref());
            let trigger = Trigger {
                kind: TriggerKind::Schedule,
                source: Some(HEARTBEAT.to_owned()),
                payload: None,
            };
            self.fire(Wake { input, ..Wake::new(WakeReason::Heartbeat, trigger) }).await?;
        }
        Ok(Some(now.plus(interval)))
    }

    /// Fires the wake of a request to a listener.
    pub(super) async fn fire_request(&mut self, arrival: Arrival) -> Result<(), Error> {
        let Arrival { listen_addr, request, reply, place } = arrival;
        let document = request.into_payload();
        let trigger = Trigger {
            kind: TriggerKind::Webhook,
            source: Some(listen_addr.clone()),
            payload: Some(serde_json::json!({
                "method": document["method"], "path": document["path"], "remote": document["remote"],
            })),
        };
        let input = Ok(Some(errand_model::canonical::to_string(&document).into_bytes()));
        let (source, reply) = (Some(listen_addr), Reply { client: Some(reply), place });
        let wake = Wake::new(WakeReason::Ingress, trigger);
        self.fire(Wake { source, input, reply: Some(reply), ..wake }).await
    }

    /// Fires the wakes that people requested.
    pub(super) async fn fire_asked(&mut self) -> Result<(), Error> {
        for request in self.engine.store().requests(self.journal.run_id()).await? {
            let CallerCommand::WakeService(asked) = request.command else { continue };
            let WakeService { input, by, wake_run_id } = asked;
            let input = self.bytes(input.as_ref());
            let source = by.clone();
            let trigger = Trigger { kind: TriggerKind::Manual, source, payload: None };
            let (answered, run_id) = (vec![request.id], wake_run_id);
            let wake = Wake::new(WakeReason::Manual, trigger);
            self.fire(Wake { input, answered, by, run_id, ..wake }).await?;
        }
        Ok(())
    }

    pub(super) async fn fire(&mut self, wake: Wake) -> Result<(), Error> {
        let mut wake = wake;
        let takes_up = wake.takes_up.as_ref().map(|(ended, _)| ended.clone());
        let child = match self.admission(&mut wake).await {
            Ok(child) => child,
            Err(error) => return self.give_up(wake, &error).await,
        };
        let run_id = child.run.id.clone();
        let fired = WakeFired {
            reason: wake.reason,
            run_id: run_id.clone(),
            source: wake.source.clone(),
            slot_ms: wake.slot,
            by: wake.by.clone(),
            is_followed: true,
        };
        let command = FireWake { attempt: self.attempt, fired, takes_up }.into();
        let lease = match self.journal.fire(&command, child, &wake.answered).await {
            Ok(Some(lease)) => lease,
            // Fired before, or the service is being stopped: dropping the reply informs the client.
            Ok(None) | Err(Error::Rejected(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.say(&format!("woken by {}: run {run_id}", stored_word(&wake.reason)));
        let tee = self.echo.begin(wake.reason, &run_id);
        let channels = SupervisorChannels { control: self.orders.subscribe(), tee, ready: None };
        let supervision = supervise_boxed(self.engine.clone(), run_id.clone(), lease, channels);
        let task = self.under_way.spawn(supervision);
        let mut reply = wake.reply;
        if let Some(reply) = reply.as_mut().filter(|_| self.answers_at_once(wake.source.as_deref()))
            && let Some(client) = reply.client.take()
        {
            // The client may have gone.
            drop(client.send(IngressOutcome::Accepted { run_id: run_id.clone() }));
        }
        let source = match wake.reason {
            WakeReason::Heartbeat => HEARTBEAT.to_owned(),
            WakeReason::Schedule
            | WakeReason::Ingress
            | WakeReason::Manual
            | WakeReason::Recovery => wake.source.unwrap_or_default(),
        };
        self.active.insert(task.id(), Active { run_id, source, reply, is_elsewhere: false });
        Ok(())
    }

    /// Returns true if the listener with that address responds before the wake has ended.
    fn answers_at_once(&self, listen_addr: Option<&str>) -> bool {
        self.journal.look(|run, _| {
            let mut listeners = run.spec.service.iter().flat_map(|spec| &spec.listeners);
            let listener = listeners.find(|spec| Some(spec.listen_addr.as_str()) == listen_addr);
            listener.is_some_and(|spec| spec.respond == Respond::AtOnce)
        })
    }

    /// Follows a wake that this process does not run: another supervisor does, or it waits for a
    /// person. It outlives the service.
    pub(super) fn follow(&mut self, run_id: RunId) {
        let task = self.under_way.spawn(wake_end::until_over(self.engine.clone(), run_id.clone()));
        let (source, reply) = (String::new(), None);
        self.active.insert(task.id(), Active { run_id, source, reply, is_elsewhere: true });
    }

    async fn admission(&self, wake: &mut Wake) -> Result<Admission, Error> {
        let input = std::mem::replace(&mut wake.input, Ok(None))?;
        let run_id = match wake.run_id.take() {
            Some(run_id) => run_id,
            None => self.engine.new_run_id()?,
        };
        let submission = match wake.takes_up.take() {
            Some((_, submission)) => *submission,
            None => self.submission(wake, input),
        };
        let submission = CheckedSubmission::of_wake(submission);
        admit::admission_as(&self.engine, run_id, submission).await
    }

    /// Records that a wake cannot be admitted; the service continues. Dropping the reply informs
    /// the client.
    async fn give_up(&self, wake: Wake, error: &Error) -> Result<(), Error> {
        let why = format!("it cannot be admitted: {}", crate::supervise::chain(error));
        for request in &wake.answered {
            self.journal.forget(*request);
        }
        let slot = match wake.reason {
            WakeReason::Heartbeat | WakeReason::Manual => Some(self.engine.now()),
            WakeReason::Schedule | WakeReason::Ingress | WakeReason::Recovery => wake.slot,
        };
        match slot {
            Some(slot) => self.skip(wake.reason, wake.source, (1, slot), &why).await,
            None => {
                self.say(&format!("a wake by {} is lost: {why}", stored_word(&wake.reason)));
                Ok(())
            }
        }
    }

    fn submission(&self, wake: &Wake, input: Option<Vec<u8>>) -> Submission {
        let options = self.journal.look(|run, _| RunOptions {
            budgets: run.spec.budgets.named().collect(),
            // The name is the service's: a reference by name means the service.
            name: None,
            labels: run.spec.labels.clone(),
            env: run.spec.env.clone(),
            session_id: run.spec.session_id.clone(),
            timeout: None,
            queue_timeout: None,
            // The wakes of a service run concurrently.
            session_turn: None,
            idempotency_key: None,
            dedup: false,
            detached: true,
            cwd: run.spec.cwd.clone(),
            callback_url: None,
            callback_events: Vec::new(),
            namespace: run.spec.namespace.clone(),
            placement: None,
            traceparent: None,
            tracestate: None,
            caller_env: run.spec.caller_env.clone(),
            by: None,
        });
        Submission {
            parcel: self.parcel.clone(),
            source: self.journal.look(|run, _| run.spec.agent.path.clone()),
            kind: if input.is_some() { RunKind::Job } else { RunKind::Heartbeat },
            trigger: wake.trigger.clone(),
            input,
            options,
            service: None,
            parent: Some(self.journal.run_id().clone()),
            origin: None,
            member: None,
            lineage: Lineage::default(),
        }
    }

    async fn skip(
        &self,
        reason: WakeReason,
        source: Option<String>,
        (slots, slot_ms): (u64, Timestamp),
        why: &str,
    ) -> Result<(), Error> {
        self.say(&format!("{slots} wakes by {} skipped: {why}", stored_word(&reason)));
        let skipped = WakeSkipped { reason, source, slot_ms, slots, why: why.to_owned() };
        let command = SkipWake { attempt: self.attempt, skipped }.into();
        match self.journal.command(&command).await {
            Ok(_) | Err(Error::Rejected(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn bytes(&self, input: Option<&Payload>) -> Result<Option<Vec<u8>>, Error> {
        Ok(input.map(|input| payload::input_of(&self.engine.blobs(), input)).transpose()?)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.active.values().any(|active| !active.is_elsewhere)
    }

    /// Waits until a wake ended; forever if there is none. Cancel-safe.
    pub(super) async fn one_ended(&mut self) -> EndedWake {
        let Some(joined) = self.under_way.join_next_with_id().await else {
            return std::future::pending().await;
        };
        match joined {
            Ok((task, ended)) => EndedWake { task, stored: ended.ok() },
            Err(error) => EndedWake { task: error.id(), stored: None },
        }
    }

    /// Records the end of a wake, and answers its client.
    pub(super) async fn settle(&mut self, ended: EndedWake) -> Result<(), Error> {
        let EndedWake { task, stored: ended } = ended;
        let Some(active) = self.active.remove(&task) else { return Ok(()) };
        let recorded = match &ended {
            Some(stored) if !stored.run.status.is_terminal() => {
                // The run waits for a person, without a process.
                self.follow(active.run_id.clone());
                Ok(())
            }
            Some(stored) => self.record_end(&active.run_id, &stored.run).await,
            None => Ok(()),
        };
        if let Some(Reply { client, place }) = active.reply {
            if let Some(client) = client {
                // The client may have gone: the run is recorded regardless.
                drop(client.send(outcome(active.run_id, ended)));
            }
            drop(place);
        }
        recorded
    }

    /// Records the usage of a wake. A wake that ends because the attempt does, and not the service,
    /// is left to the next attempt.
    async fn record_end(&self, run_id: &RunId, last: &Run) -> Result<(), Error> {
        let is_cut_off =
            wake_end::is_cut_off(last) && (self.is_winding_down || !wake_end::is_killed(last));
        let is_left = is_cut_off && self.journal.look(|run, _| run.cancel_requested.is_none());
        if is_left {
            return Ok(());
        }
        let mut ended = wake_end::ended(last);
        if last.id != *run_id
            && let Some(first) = self.engine.store().load(run_id).await?
        {
            // The run was handed over.
            ended.usage = ended.usage.plus(&wake_end::ended(&first.run).usage);
            ended.run_id = run_id.clone();
        }
        self.end(ended).await
    }

    /// Records the end of a wake.
    pub(super) async fn end(&self, ended: WakeEnded) -> Result<(), Error> {
        let command = EndWake { attempt: self.attempt, ended }.into();
        match self.journal.command(&command).await {
            Ok(_) | Err(Error::Rejected(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes running wakes read their requests.
    pub(super) fn look(&self) {
        self.orders.send_modify(|orders| orders.looks += 1);
    }

    /// Marks the attempt as about to end.
    pub(super) fn wind_down(&mut self) {
        self.is_winding_down = true;
    }

    /// Cancels all running wakes at once.
    pub(super) async fn cancel_all(&self) -> Result<(), Error> {
        let (cause, grace) = (CancelCause::Parent, Duration::ZERO);
        self.ask_all(&Cancel { cause, by: None, grace }.into()).await
    }

    /// Sends the same request to all running wakes.
    pub(super) async fn ask_all(&self, command: &CallerCommand) -> Result<(), Error> {
        for active in self.active.values().filter(|active| !active.is_elsewhere) {
            let (store, now) = (self.engine.store(), self.engine.now());
            match store.request(&active.run_id, command.clone(), now).await {
                Ok(_) | Err(errand_store::Error::Sealed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.look();
        Ok(())
    }

    /// Kills the wakes that are left after an error.
    pub(super) async fn finish(&mut self) {
        self.under_way.shutdown().await;
        self.echo.finish().await;
    }
}

fn outcome(run_id: RunId, ended: Option<Stored>) -> IngressOutcome {
    let failed = |message: String| IngressOutcome::Failed { run_id: run_id.clone(), message };
    match ended.map(|stored| stored.run.status) {
        Some(Status::Completed { .. }) => IngressOutcome::Done { run_id },
        Some(Status::Failed { error, .. }) => failed(error.message),
        Some(status) => failed(format!("the run is {}", status.name())),
        None => failed("the run could not be carried out".to_owned()),
    }
}
