//! Runs whose supervisor is dead, as a process finds them that lives on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use errand_agent::os;
use errand_engine::admit;
use errand_engine::ask;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::CheckedSubmission;
use errand_engine::{Engine, Error, reaper, reconcile, sessions};
use errand_model::draft::JournalDraft;
use errand_model::event::{CancelCause, PauseReason};
use errand_model::placement::Placement;
use errand_model::run::{AttemptUp, CallerCommand, Cancel, Command, Pause, StartAttempt, Status};
use errand_model::{ProcessIdentity, RunId, Timestamp};
use errand_store::{Admission, Append, Fence, Holder, Lease, Stored};

use crate::support::{Parts, agent, engine_of, job};

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    /// The engine of a process that is dead.
    pub(crate) dead: Engine,
    /// The engine of this process.
    pub(crate) living: Engine,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        let own = os::own_identity().unwrap();
        let mut other = own.clone();
        other.start_ticks += 1;
        let dead = engine(folder.path(), other, std::env::current_exe().unwrap());
        // No helper can be started.
        let living = engine(folder.path(), own, folder.path().join("nowhere"));
        Self { folder, dead, living }
    }

    /// Returns this world reopened, with all commits in the database's own file.
    pub(crate) fn reopened(self) -> Self {
        Self::at(self.close())
    }

    pub(crate) fn close(self) -> tempfile::TempDir {
        let Self { folder, dead, living } = self;
        drop((dead, living));
        folder
    }

    pub(crate) async fn admission(&self, placement: Option<Placement>) -> Admission {
        let file = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: some }\nspec:\n  \
             command: [/bin/true]\n  retry_policy: { max_retries: 3, initial_delay: 1ms }\n";
        let agent = agent(self.folder.path(), "agent", file);
        let cwd = self.folder.path().display().to_string();
        let session_id = Some("talk".to_owned());
        let options =
            RunOptions { cwd, detached: true, placement, session_id, ..RunOptions::default() };
        let submission = job(&self.dead, &agent, options);
        let submission = CheckedSubmission::for_any_worker(&self.dead, submission).unwrap();
        admit::admission(&self.dead, submission).await.unwrap()
    }

    /// A run that a dead process holds, before its first attempt.
    async fn held(&self) -> (Stored, Lease) {
        let admission = self.admission(None).await;
        let run_id = admission.run.id.clone();
        let (_, lease) =
            self.dead.store().admit_held(admission, self.dead.holder().clone()).await.unwrap();
        (self.load(&run_id).await, lease.unwrap())
    }

    /// A run whose supervisor died in its first attempt.
    pub(crate) async fn begun(&self) -> Stored {
        let (stored, lease) = self.held().await;
        let supervisor = self.dead.holder().process.clone();
        let host = self.dead.holder().host.clone();
        let start = StartAttempt { epoch: lease.epoch, supervisor, host, worker: None };
        let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
        let run_id = stored.run.id.clone();
        let mut draft = JournalDraft::without_steps(stored.run, stored.head);
        for command in [Command::from(start), Command::from(up)] {
            draft.command(&command, self.dead.now()).unwrap();
        }
        let append = append(draft, &lease);
        self.dead.store().append(append).await.unwrap();
        self.load(&run_id).await
    }

    pub(crate) async fn load(&self, run_id: &RunId) -> Stored {
        self.living.store().load(run_id).await.unwrap().unwrap()
    }
}

fn append(draft: JournalDraft, lease: &Lease) -> Append {
    let (run, head, _, added) = draft.into_parts();
    Append {
        run,
        head,
        events: added.events,
        steps: added.steps,
        fence: Fence { epoch: lease.epoch },
        snapshot: true,
        release: false,
        requeue: None,
        answered: Vec::new(),
        documents: Vec::new(),
    }
}

pub(crate) fn engine(root: &Path, process: ProcessIdentity, program: PathBuf) -> Engine {
    let holder = Holder { host: os::host_name(), process, worker: None };
    engine_of(root, Parts { holder, program, ..Parts::default() })
}

#[tokio::test]
async fn a_run_whose_helper_cannot_be_started_is_held_by_nobody_and_tried_again() {
    let world = World::new();
    let stored = world.begun().await;
    let run_id = stored.run.id.clone();
    let first = reconcile::reconcile(&world.living, stored).await.map_err(Error::from);
    assert!(matches!(first, Err(Error::Helper(_))), "{first:?}");
    let waits = world.load(&run_id).await;
    assert!(matches!(waits.run.status, Status::Pending { .. }), "{:?}", waits.run.status);
    assert_eq!(waits.lease, None);
    let second = reconcile::reconcile(&world.living, waits).await.map_err(Error::from);
    assert!(matches!(second, Err(Error::Helper(_))), "{second:?}");
}

#[tokio::test]
async fn a_lease_taken_to_reconcile_ends_by_itself_or_with_its_holder() {
    let world = World::new();
    let stored = world.begun().await;
    let run_id = stored.run.id.clone();
    // As one that died in the middle of it.
    let other = world.dead.holder().clone();
    let soon = world.living.now().plus(Duration::from_secs(600));
    world.dead.store().take(&run_id, stored.epoch, other, Some(soon)).await.unwrap();
    assert!(!reconcile::is_supervised(&world.living, &world.load(&run_id).await));
    // And one that lives, and forgot it.
    let (own, past) = (world.living.holder().clone(), world.living.now());
    world.living.store().take(&run_id, stored.epoch + 1, own, Some(past)).await.unwrap();
    while world.living.now() <= past {
        std::thread::yield_now();
    }
    assert!(!reconcile::is_supervised(&world.living, &world.load(&run_id).await));
}

#[tokio::test]
async fn what_was_looked_after_on_another_machine_is_left_to_that_one() {
    let world = World::new();
    let stored = world.begun().await;
    let run_id = stored.run.id.clone();
    let (other, past) = (world.dead.holder().clone(), world.living.now());
    world.dead.store().take(&run_id, stored.epoch, other, Some(past)).await.unwrap();
    while world.living.now() <= past {
        std::thread::yield_now();
    }
    let process = os::own_identity().unwrap();
    let far = Holder { host: "elsewhere".to_owned(), process, worker: None };
    let program = world.folder.path().join("nowhere");
    let far = engine_of(world.folder.path(), Parts { holder: far, program, ..Parts::default() });
    assert!(reconcile::is_supervised(&far, &world.load(&run_id).await));
    assert_eq!(reaper::look(&far).await.unwrap().lost, 0);
    assert_eq!(world.load(&run_id).await.epoch, stored.epoch + 1);
}

#[tokio::test]
async fn runs_that_are_left_to_another_machine_do_not_hide_a_lost_one() {
    /// More than one query of the reaper returns.
    const LEFT: usize = 70;
    let world = World::new();
    let holder = world.dead.holder().clone();
    let hold = async |placement: Option<Placement>, until: Timestamp| {
        let admission = world.admission(placement).await;
        let run_id = admission.run.id.clone();
        world.dead.store().admit(admission).await.unwrap();
        let epoch = world.load(&run_id).await.epoch;
        world.dead.store().take(&run_id, epoch, holder.clone(), Some(until)).await.unwrap();
        run_id
    };
    let past = world.living.now();
    for _ in 0..LEFT {
        hold(None, past).await;
    }
    let lost = hold(Some(Placement::default()), past.plus(Duration::from_millis(1))).await;
    while world.living.now() <= past.plus(Duration::from_millis(1)) {
        std::thread::yield_now();
    }
    let process = os::own_identity().unwrap();
    let far = Holder { host: "elsewhere".to_owned(), process, worker: None };
    let program = world.folder.path().join("nowhere");
    let far = engine_of(world.folder.path(), Parts { holder: far, program, ..Parts::default() });
    assert_eq!(reaper::look(&far).await.unwrap().lost, 1);
    assert_eq!(world.load(&lost).await.lease, None);
}

#[tokio::test]
async fn a_run_is_reconciled_to_the_end_also_if_whoever_asked_for_it_has_gone() {
    let world = World::new();
    let (stored, _) = world.held().await;
    let run_id = stored.run.id.clone();
    let asked = reconcile::reconcile(&world.living, stored);
    assert!(tokio::time::timeout(Duration::ZERO, asked).await.is_err(), "it takes a commit");
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let stored = world.load(&run_id).await;
        if stored.run.status.is_terminal() {
            break;
        }
        assert!(Instant::now() < limit, "{:?} {:?}", stored.run.status, stored.lease);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn cancel() -> CallerCommand {
    Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO }.into()
}

#[tokio::test]
async fn an_end_that_was_asked_while_the_run_came_to_rest_is_not_forgotten() {
    let world = World::new();
    let (stored, lease) = world.held().await;
    let run_id = stored.run.id.clone();
    world.living.store().request(&run_id, cancel(), world.living.now()).await.unwrap();
    // Its supervisor, which has not heard of that, lets go of it.
    let pause = Pause { reason: PauseReason::Operator, by: None };
    let mut draft = JournalDraft::without_steps(stored.run, stored.head);
    draft.command(&pause.into(), world.dead.now()).unwrap();
    let append = Append { release: true, ..append(draft, &lease) };
    world.dead.store().append(append).await.unwrap();
    let rests = world.load(&run_id).await;
    assert!(rests.run.is_at_rest() && rests.open_requests == 1, "{rests:?}");
    let seen = reconcile::reconcile(&world.living, rests).await.unwrap();
    assert!(matches!(seen.run.status, Status::Cancelled { .. }), "{:?}", seen.run.status);
}

#[tokio::test]
async fn an_end_that_was_asked_of_a_run_back_in_the_queue_needs_no_worker() {
    let world = World::new();
    let admission = world.admission(Some(Placement::default())).await;
    let run_id = admission.run.id.clone();
    world.dead.store().admit(admission).await.unwrap();
    world.living.store().request(&run_id, cancel(), world.living.now()).await.unwrap();
    let queued = world.load(&run_id).await;
    let seen = reconcile::reconcile(&world.living, queued).await.unwrap();
    assert!(matches!(seen.run.status, Status::Cancelled { .. }), "{:?}", seen.run.status);
}

#[tokio::test]
async fn a_pause_that_was_done_by_hand_is_not_done_again() {
    let world = World::new();
    let admission = world.admission(Some(Placement::default())).await;
    let run_id = admission.run.id.clone();
    world.dead.store().admit(admission).await.unwrap();
    // A request to a worker that gave the run back before it read it.
    let pause = Pause::by_operator(None).into();
    world.living.store().request(&run_id, pause, world.living.now()).await.unwrap();
    ask::pause(&world.living, &run_id, None).await.unwrap();
    let resumed = ask::resume(&world.living, &run_id, None).await.unwrap();
    assert!(matches!(resumed.run.status, Status::Pending { .. }), "{:?}", resumed.run.status);
    assert_eq!(world.load(&run_id).await.open_requests, 0);
}

#[tokio::test]
async fn a_run_that_was_cancelled_in_the_queue_stays_so_in_a_registry_made_anew() {
    let world = World::new();
    let admission = world.admission(Some(Placement::default())).await;
    let run_id = admission.run.id.clone();
    world.dead.store().admit(admission).await.unwrap();
    let journal = world.living.registry().run_events(&run_id);
    let before = std::fs::read(&journal).unwrap();
    let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO };
    ask::cancel(&world.living, &run_id, &cancel).await.unwrap();
    let World { folder, dead, living } = world;
    let registry = living.registry().clone();
    drop((dead, living));
    // As if the process had died between the commit and the file.
    std::fs::write(&journal, before).unwrap();
    errand_store::rebuild(&registry, Timestamp::from_millis(0)).unwrap();
    let anew = engine(folder.path(), os::own_identity().unwrap(), folder.path().join("nowhere"));
    let status = anew.store().load(&run_id).await.unwrap().unwrap().run.status;
    assert!(matches!(status, Status::Cancelled { .. }), "{status:?}");
}

#[tokio::test]
async fn a_session_whose_removal_was_interrupted_is_removed_from_files_too() {
    let world = World::new();
    drop(world.held().await);
    let noted = || std::fs::read_to_string(world.living.registry().removed_sessions());
    assert!(noted().is_err());
    // It is gone from the registry.
    assert!(!sessions::remove(&world.living, "talk", None).await.unwrap());
    assert!(noted().unwrap().contains("talk"));
}
