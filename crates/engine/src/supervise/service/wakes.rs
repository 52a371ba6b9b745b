//! Firing of wakes, and the set of running ones.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_agent::log;
use errand_agent::parcel::Parcel;
use errand_agent::target::Chunk;
use errand_model::event::{CancelCause, Respond, WakeEnded, WakeFired, WakeReason, WakeSkipped};
use errand_model::run::{CallerCommand, Cancel, FireWake, SkipWake};
use errand_model::schedule::ParsedSchedule;
use errand_model::{RunId, Timestamp};
use errand_store::{Admission, Stored};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::echo::Echo;
use super::wake::{Active, Wake, WakeRun, WakeSource};
use super::wake_end;
use crate::admit;
use crate::error::CodedError as _;
use crate::firing::FiredTrigger;
use crate::journal::Journal;
use crate::listener::IngressOutcome;
use crate::payload::stored_word;
use crate::run_options::RunOptions;
use crate::submission::{CheckedSubmission, Submission};
use crate::supervise::{ControlState, SupervisorChannels, supervise_boxed};
use crate::{Engine, Error};

/// Wakes of one attempt of a service.
#[derive(Debug)]
pub(super) struct Wakes {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    parcel: Parcel,
    pub(super) attempt: u32,
    /// Log for people; `None` if it cannot be written: the journal has all of it.
    log: Option<log::Writer>,
    pub(super) parsed: Vec<ParsedSchedule>,
    pub(super) under_way: JoinSet<Result<Stored, Error>>,
    pub(super) active: BTreeMap<Id, Active>,
    orders: watch::Sender<ControlState>,
    /// Output for the terminal of a service in the foreground.
    echo: Echo,
    /// True if the attempt is about to end: an agent that a signal ends now did not fail by itself.
    pub(super) is_winding_down: bool,
}

impl Wakes {
    pub(super) fn new(
        engine: &Engine,
        journal: &Journal,
        parcel: Parcel,
        (attempt, tee): (u32, Option<mpsc::Sender<Chunk>>),
    ) -> Result<Self, Error> {
        let schedules =
            journal.look(|run, _| run.spec.service.as_ref().map(|s| s.schedules.clone()));
        let parsed = schedules
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
            parsed,
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

    /// Returns true if a wake of that source runs.
    pub(super) fn runs_from(&self, source: &WakeSource) -> bool {
        self.active.values().any(|active| active.source.as_ref() == Some(source))
    }

    /// Fires a wake: admits its run in the commit that records it, and supervises it.
    pub(super) async fn fire(&mut self, wake: Wake) -> Result<(), Error> {
        let Wake { source, slot, run, mut reply, answered, by, run_id } = wake;
        let (child, takes_up) = match self.admission(run_id, run).await {
            Ok(admitted) => admitted,
            Err(error) => return self.give_up(&source, slot, &answered, &error).await,
        };
        let run_id = child.run.id.clone();
        let reason = source.reason;
        let fired = WakeFired {
            reason,
            run_id: run_id.clone(),
            source: source.id.clone(),
            slot_ms: slot,
            by,
            is_followed: true,
        };
        let command = FireWake { attempt: self.attempt, fired, takes_up }.into();
        let lease = match self.journal.fire(&command, child, &answered).await {
            Ok(Some(lease)) => lease,
            // Fired before, or the service is being stopped: dropping the reply informs the client.
            Ok(None) => return Ok(()),
            Err(error) if error.rejection().is_some() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.say(&format!("woken by {}: run {run_id}", stored_word(&reason)));
        let tee = self.echo.begin(reason, &run_id);
        let channels = SupervisorChannels { control: self.orders.subscribe(), tee, ready: None };
        let supervision = supervise_boxed(self.engine.clone(), run_id.clone(), lease, channels);
        let task = self.under_way.spawn(supervision);
        if let Some(reply) = reply.as_mut().filter(|_| self.answers_at_once(source.id.as_deref()))
            && let Some(client) = reply.client.take()
        {
            // The client may have gone.
            drop(client.send(IngressOutcome::Accepted { run_id: run_id.clone() }));
        }
        self.active.insert(task.id(), Active { run_id, source: Some(source), reply });
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
        let (source, reply) = (None, None);
        self.active.insert(task.id(), Active { run_id, source, reply });
    }

    /// Returns the admission of a wake's run, and the end of the interrupted wake that it
    /// continues.
    async fn admission(
        &self,
        run_id: Option<RunId>,
        run: WakeRun,
    ) -> Result<(Admission, Option<WakeEnded>), Error> {
        let (submission, takes_up) = match run {
            WakeRun::New(fired) => (self.submission(fired?), None),
            WakeRun::Continues(ended, submission) => (*submission, Some(ended)),
        };
        let run_id = run_id.map_or_else(|| self.engine.new_run_id(), Ok)?;
        let submission = CheckedSubmission::of_wake(submission);
        let admission = admit::admission_as(&self.engine, run_id, submission).await?;
        Ok((admission, takes_up))
    }

    /// Records that a wake cannot be admitted; the service continues. Dropping the reply informs
    /// the client.
    async fn give_up(
        &self,
        source: &WakeSource,
        slot: Option<Timestamp>,
        answered: &[i64],
        error: &Error,
    ) -> Result<(), Error> {
        let why = format!("it cannot be admitted: {}", crate::supervise::chain(error));
        for request in answered {
            self.journal.forget(*request);
        }
        let slot = match source.reason {
            WakeReason::Heartbeat | WakeReason::Manual => Some(self.engine.now()),
            WakeReason::Schedule | WakeReason::Ingress | WakeReason::Recovery => slot,
        };
        if let Some(slot) = slot {
            return self.skip(source, (1, slot), &why).await;
        }
        self.say(&format!("a wake by {} is lost: {why}", stored_word(&source.reason)));
        Ok(())
    }

    /// Returns the submission of a wake's run, with the options of the service.
    fn submission(&self, fired: FiredTrigger) -> Submission {
        let (options, source) = self.journal.look(|run, _| {
            let options = RunOptions {
                budgets: run.spec.budgets.named().collect(),
                // No name, which is the service's: a reference by name means the service. No turn
                // in the session: the wakes of a service run concurrently.
                labels: run.spec.labels.clone(),
                env: run.spec.env.clone(),
                session_id: run.spec.session_id.clone(),
                detached: true,
                cwd: run.spec.cwd.clone(),
                namespace: run.spec.namespace.clone(),
                caller_env: run.spec.caller_env.clone(),
                model_route: run.spec.model_route.clone(),
                ..RunOptions::default()
            };
            (options, run.spec.agent.path.clone())
        });
        let parent = Some(self.journal.run_id().clone());
        Submission { parent, ..fired.submission(self.parcel.clone(), source, options) }
    }

    /// Records slots that are not fired.
    pub(super) async fn skip(
        &self,
        source: &WakeSource,
        (slots, slot_ms): (u64, Timestamp),
        why: &str,
    ) -> Result<(), Error> {
        let WakeSource { reason, id } = source.clone();
        self.say(&format!("{slots} wakes by {} skipped: {why}", stored_word(&reason)));
        let skipped = WakeSkipped { reason, source: id, slot_ms, slots, why: why.to_owned() };
        let command = SkipWake { attempt: self.attempt, skipped }.into();
        match self.journal.command(&command).await {
            Ok(_) => Ok(()),
            Err(error) if error.rejection().is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.active.values().any(|active| active.source.is_some())
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
        for active in self.active.values().filter(|active| active.source.is_some()) {
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
