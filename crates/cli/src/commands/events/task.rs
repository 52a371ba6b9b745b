//! `errand events --task`: the journal of the task at a dispatcher that carried a run out.

use std::io::{BufRead as _, BufReader, Read};

use errand_api::error_code::ErrorCode;
use errand_engine::values::{Bytes, BytesPlace};
use errand_model::event::EventBody;
use errand_model::{Event, TaskEvidence};

use super::{PAGE, View};
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::ValueSelection;
use crate::target::Target;

/// Shows the journal that the terminal event of a run names.
pub(super) async fn show(place: &RegistryOrServer, view: &mut View<'_>) -> Result<u8, Failure> {
    let Some(task) = evidence(place, view).await? else {
        let message = format!("run {} has no journal of a task", view.run_id);
        let hint = "the run is not over, or no dispatcher carried it out";
        return Err(Failure::new(ErrorCode::TaskNotFound, message).hint(hint));
    };
    match place {
        RegistryOrServer::Here(engine) => {
            let bytes = Bytes::blob(engine, &task.blob.digest, task.blob.encoding)?;
            match bytes.place {
                BytesPlace::Memory(bytes) => lines(view, bytes.as_slice())?,
                BytesPlace::File(file, _) => lines(view, file)?,
            }
        }
        RegistryOrServer::There(remote) => {
            let folder = tempfile::tempdir()
                .map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?;
            let path = folder.path().join("journal");
            let wanted = ValueSelection::Blob(task.blob.digest.clone());
            let target = || Target::open(Some(&path));
            let _is_there = remote.write_value(&view.run_id, &wanted, target).await?;
            let file = std::fs::File::open(&path);
            lines(view, file.map_err(|error| Failure::io("read", &path, &error))?)?;
        }
    }
    view.tell_if_nothing_matched();
    Ok(0)
}

/// Returns the task that the terminal event of a run names.
async fn evidence(
    place: &RegistryOrServer,
    view: &View<'_>,
) -> Result<Option<Box<TaskEvidence>>, Failure> {
    let mut seen = 0;
    loop {
        let page = place.events(&view.run_id, seen, PAGE).await?;
        seen = page.events.last().map_or(seen, |last| last.seq);
        if page.has_more {
            continue;
        }
        let last = page.events.last().and_then(|last| last.body().ok());
        return Ok(match last {
            Some(EventBody::RunCompleted(completed)) => completed.task,
            Some(EventBody::RunFailed(failed)) => failed.task,
            Some(EventBody::RunCancelled(cancelled)) => cancelled.task,
            Some(_) | None => None,
        });
    }
}

fn lines(view: &mut View<'_>, journal: impl Read) -> Result<(), Failure> {
    let damaged = |why: String| {
        Failure::new(ErrorCode::JournalBroken, format!("the journal of the task is damaged: {why}"))
    };
    for line in BufReader::new(journal).lines() {
        let line = line.map_err(|error| damaged(error.to_string()))?;
        let event = Event::from_json_line(&line).map_err(|error| damaged(error.to_string()))?;
        view.show(std::slice::from_ref(&event))?;
    }
    Ok(())
}
