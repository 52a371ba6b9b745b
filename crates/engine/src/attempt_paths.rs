//! Paths of the files that errand shares with the agent of an attempt.

use std::path::PathBuf;

use errand_model::run::Run;
use errand_store::SOCKET_PATH_LIMIT_BYTES;

use crate::Engine;

/// Returns the folder that errand shares with the agent of the last attempt. Each further attempt
/// of a run that any worker may claim has a folder of its own: a worker that lost the run may not
/// know of it yet, and must not disturb the next attempt.
pub(crate) fn scratch(engine: &Engine, run: &Run) -> PathBuf {
    let folder = engine.registry().run_scratch(&run.id);
    match run.spec.placement {
        Some(_) if run.last_attempt_number() > 1 => {
            folder.join(run.last_attempt_number().to_string())
        }
        Some(_) | None => folder,
    }
}

/// Returns the path of the socket of the agent API of the last attempt, if its agent does not see
/// this machine: the socket has a folder without files of other runs, which the agent is shown.
pub(crate) fn socket_of_its_own(engine: &Engine, run: &Run) -> PathBuf {
    let here = scratch(engine, run).join("sock");
    if here.as_os_str().len() <= SOCKET_PATH_LIMIT_BYTES {
        return here;
    }
    let folder = format!("{}.{}.d", run.id, run.last_attempt_number());
    engine.surroundings().runtime_dir.join(folder).join("sock")
}

/// Returns the path of the socket of the agent API of the last attempt.
pub(crate) fn socket(engine: &Engine, run: &Run) -> PathBuf {
    let short = &engine.surroundings().runtime_dir;
    if run.spec.placement.is_none() {
        return engine.registry().run_socket(&run.id, short);
    }
    let here = scratch(engine, run).join("sock");
    if here.as_os_str().len() <= SOCKET_PATH_LIMIT_BYTES {
        return here;
    }
    short.join(format!("{}.{}.sock", run.id, run.last_attempt_number()))
}
