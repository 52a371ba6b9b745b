//! `GET /v1/runs/{run_id}/export`: archive of a run with everything that belongs to it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::openapi::ANY_BYTES;
use errand_api::gateway::run::ExportQuery;
use errand_engine::export::{self, Wanted};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::Gateway;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Media type of an export.
const TAR: &str = "application/x-tar";
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Responds with the archive.
pub(crate) async fn export_run(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    asked: HeaderMap,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Refusal> {
    let is_set = |flag: Option<bool>| flag == Some(true);
    let wanted = Wanted { live: is_set(query.live), own: is_set(query.own) };
    let run_id = stored.run.id.clone();
    let name = format!("attachment; filename=\"{run_id}.tar\"");
    let engine = gateway.engine().clone();
    let handle = Handle::current();
    // The archive is complete before the first byte is sent: a started response cannot report an
    // error.
    let written = spawn_blocking(move || {
        let path = engine.registry().runs().join(format!(".{}-{run_id}.export", unique()));
        let written = handle.block_on(export::write_file(&engine, &run_id, wanted, &path));
        written.map_err(Refusal::from).and_then(|()| {
            let file = File::open(&path).map_err(|error| failed(&path, &error));
            // The open file can still be read to its end.
            drop(std::fs::remove_file(&path));
            file
        })
    });
    let file = written.await.map_err(|error| {
        Refusal::new(ErrorCode::Internal, format!("the export ended early: {error}"))
    })??;
    let headers = [
        (header::CONTENT_TYPE, media_type(&asked).to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, contents(file)).into_response())
}

/// Returns the generic media type if only that is accepted, otherwise that of an archive.
fn media_type(asked: &HeaderMap) -> &'static str {
    let accepted = asked.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|it| it.trim() == ANY_BYTES) { ANY_BYTES } else { TAR }
}

/// Returns a suffix that distinguishes concurrent exports of one run.
fn unique() -> String {
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}

fn failed(path: &Path, error: &io::Error) -> Refusal {
    tracing::error!("{}: {error}", path.display());
    Refusal::new(ErrorCode::of_io(error), "the export cannot be read")
}

/// Streams the bytes of a file.
pub(crate) fn contents(file: File) -> Body {
    Body::from_stream(stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(length) => {
                chunk.truncate(length);
                Some((Ok(Bytes::from(chunk)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}
