//! Journal and artifacts of a task that is over, fetched into files.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_model::event::EventBody;
use errand_model::{Digest, Event};
use tokio::time::sleep;

use crate::client::{DispatchError, DispatcherClient};

/// Largest journal that is fetched.
const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;
/// Largest artifact that is fetched.
const ARTIFACT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Times that a file is asked for.
const TRIES: u32 = 8;
/// Pause before the second time; it doubles.
const AGAIN: Duration = Duration::from_millis(250);

/// Files of a task.
#[derive(Debug, Default)]
pub(crate) struct FetchedFiles {
    /// Journal; `None` from a dispatcher that has no route for it.
    pub(crate) journal: Option<PathBuf>,
    /// Artifacts, by their digests in the journal.
    pub(crate) artifacts: Vec<(Digest, PathBuf)>,
}

/// Fetches the journal of a task, and its artifacts, into a folder.
///
/// # Errors
///
/// If the dispatcher does not answer for a while, or refuses.
pub(crate) async fn fetch(
    client: &DispatcherClient,
    task_id: &str,
    folder: &Path,
) -> Result<FetchedFiles, DispatchError> {
    let journal = folder.join("task.events.jsonl");
    let path = format!("/tasks/{task_id}/journal");
    match get(client, &path, &journal, JOURNAL_BYTES).await {
        Err(error) if error.is_not_found() => return Ok(FetchedFiles::default()),
        fetched => fetched?,
    }
    let mut artifacts: Vec<(Digest, PathBuf)> = Vec::new();
    let created = created(&journal).map_err(|error| client.unwritten(&error))?;
    for (number, (name, digest)) in created.into_iter().enumerate() {
        if artifacts.iter().any(|(known, _)| *known == digest) {
            continue;
        }
        let file = folder.join(format!("task.artifact.{number}"));
        let path = format!("/tasks/{task_id}/artifacts/{}", escaped(&name));
        get(client, &path, &file, ARTIFACT_BYTES).await?;
        artifacts.push((digest, file));
    }
    Ok(FetchedFiles { journal: Some(journal), artifacts })
}

/// Returns names and digests of the artifacts that a journal names: of several of one name, the last.
/// Lines that cannot be read are found by the verification of the journal.
fn created(journal: &Path) -> io::Result<Vec<(String, Digest)>> {
    let mut found: Vec<(String, Digest)> = Vec::new();
    for line in BufReader::new(File::open(journal)?).lines() {
        let line = line?;
        if !line.contains("\"artifact.created\"") {
            continue;
        }
        let Ok(event) = Event::from_json_line(&line) else { continue };
        if let Ok(EventBody::ArtifactCreated(artifact)) = event.body() {
            found.retain(|(name, _)| *name != artifact.name);
            found.push((artifact.name, artifact.digest));
        }
    }
    Ok(found)
}

async fn get(
    client: &DispatcherClient,
    path: &str,
    file: &Path,
    limit_bytes: u64,
) -> Result<(), DispatchError> {
    let mut pause = AGAIN;
    for _ in 1..TRIES {
        match get_once(client, path, file, limit_bytes).await {
            Err(DispatchError::Unreachable { .. }) => {}
            other => return other,
        }
        sleep(pause).await;
        pause *= 2;
    }
    get_once(client, path, file, limit_bytes).await
}

async fn get_once(
    client: &DispatcherClient,
    path: &str,
    file: &Path,
    limit_bytes: u64,
) -> Result<(), DispatchError> {
    let mut answer = client.get(path).await?;
    let mut written = 0_u64;
    let mut file = File::create(file).map_err(|error| client.unwritten(&error))?;
    while let Some(piece) = answer.chunk().await.map_err(|error| client.broken(&error))? {
        written = written.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if written > limit_bytes {
            return Err(client.too_long(path, limit_bytes));
        }
        file.write_all(&piece).map_err(|error| client.unwritten(&error))?;
    }
    Ok(())
}

/// Returns the name of an artifact as a part of a path.
fn escaped(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            _ => {
                path.push('%');
                path.push_str(&errand_model::hex(&[byte]));
            }
        }
    }
    path
}
