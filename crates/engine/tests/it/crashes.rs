//! Crashes between the effects of one commit: whatever is on disk by then, the run comes to the
//! same end.

use std::path::Path;

use errand_agent::os;
use errand_engine::{ask, reconcile};
use errand_model::event::CancelCause;
use errand_model::placement::Placement;
use errand_model::run::{Cancel, Run, Status};
use errand_model::{RunId, Timestamp};
use errand_store::{FinalSnapshot, Registry, Stored};

use crate::reconcile::{World, cancel, engine};

/// Effects of a commit, in their order, by the files that they change.
const EFFECTS: [&str; 4] = ["final.json", "registry.db", "events.jsonl", "json"];

/// Copies a registry without the files of effects.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Puts the files of one effect in the place of those from before it.
fn bring(effect: &str, run_id: &RunId, from: &Path, to: &Path) {
    let names = match effect {
        "registry.db" => ["", "-wal", "-shm"].map(|suffix| format!("{effect}{suffix}")).to_vec(),
        suffix => vec![format!("runs/{run_id}.{suffix}")],
    };
    for name in names {
        let (from, to) = (from.join(".errand").join(&name), to.join(".errand").join(&name));
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        } else {
            drop(std::fs::remove_file(to));
        }
    }
}

/// A run that this process ends, and the folders of before and after that.
struct Crashed {
    run_id: RunId,
    before: tempfile::TempDir,
    after: tempfile::TempDir,
    ended: Run,
}

impl Crashed {
    fn of(world: World, run_id: RunId, before: tempfile::TempDir, ended: Stored) -> Self {
        assert!(ended.run.status.is_terminal(), "{:?}", ended.run.status);
        let snapshot = FinalSnapshot::read(world.living.registry(), &run_id).unwrap().unwrap();
        assert_eq!(snapshot.events.len() as u64, ended.head.seq - snapshot.head_before.seq);
        Self { run_id, before, after: world.close(), ended: ended.run }
    }

    /// Returns the folder as a process leaves it that dies after the first `done` effects.
    fn after(&self, done: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        copy(self.before.path(), folder.path());
        for effect in EFFECTS.iter().take(done) {
            bring(effect, &self.run_id, self.after.path(), folder.path());
        }
        folder
    }

    /// Returns the run as the next process finds it.
    async fn found(&self, done: usize) -> Stored {
        let folder = self.after(done);
        let living = engine(folder.path(), os::own_identity().unwrap(), "nowhere".into());
        let stored = living.store().load(&self.run_id).await.unwrap().unwrap();
        reconcile::reconcile(&living, stored).await.unwrap()
    }

    /// Returns the run as it is in a registry that is rebuilt from files.
    async fn rebuilt(&self, done: usize) -> Stored {
        let folder = self.after(done);
        let registry = Registry::at(folder.path().join(".errand"));
        errand_store::rebuild(&registry, Timestamp::from_millis(0)).unwrap();
        let living = engine(folder.path(), os::own_identity().unwrap(), "nowhere".into());
        living.store().load(&self.run_id).await.unwrap().unwrap()
    }

    /// Once anything at all was written, a rebuild from files gives the end; once the registry has
    /// it, everything does.
    async fn check(&self) {
        for done in 0..=EFFECTS.len() {
            let (found, rebuilt) = (self.found(done).await, self.rebuilt(done).await);
            if done > 0 {
                assert_eq!(rebuilt.run.status, self.ended.status, "rebuilt after {done} effects");
            }
            if done > 1 {
                assert_eq!(found.run.status, self.ended.status, "after {done} effects");
            }
        }
    }
}

fn copied(world: &World) -> tempfile::TempDir {
    let before = tempfile::tempdir().unwrap();
    copy(world.folder.path(), before.path());
    before
}

#[tokio::test]
async fn a_run_that_is_cancelled_in_the_queue_is_cancelled_after_a_crash_at_any_point() {
    let world = World::new();
    let admission = world.admission(Some(Placement::default())).await;
    let run_id = admission.run.id.clone();
    world.dead.store().admit(admission).await.unwrap();
    let world = world.reopened();
    let before = copied(&world);
    let stop = Cancel { cause: CancelCause::Stopped, by: None, grace: std::time::Duration::ZERO };
    let ended = ask::cancel(&world.living, &run_id, &stop).await.unwrap();
    assert!(matches!(ended.run.status, Status::Cancelled { .. }));
    Crashed::of(world, run_id, before, ended).check().await;
}

#[tokio::test]
async fn a_run_that_reconciliation_ends_is_over_after_a_crash_at_any_point() {
    let world = World::new();
    let run_id = world.begun().await.run.id;
    world.living.store().request(&run_id, cancel(), world.living.now()).await.unwrap();
    let world = world.reopened();
    let before = copied(&world);
    let lost = world.load(&run_id).await;
    let ended = reconcile::reconcile(&world.living, lost).await.unwrap();
    Crashed::of(world, run_id, before, ended).check().await;
}
