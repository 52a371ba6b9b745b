//! Uploads of artifacts: streamed to disk and hashed on the way.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use errand_api::agent_protocol::{ArtifactAnswer, check_artifact_name, limit};
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};

use super::body::{check_declared, piece, too_large};
use super::context::Context;
use super::{Refusal, Upload};

/// Names tried before an upload fails; files of earlier processes may be left.
const NAME_TRIES: u32 = 1000;

/// Receives one artifact.
pub(super) async fn keep(
    context: &Context,
    name: String,
    media_type: Option<String>,
    body: Incoming,
) -> Result<ArtifactAnswer, Refusal> {
    check_artifact_name(&name).map_err(|error| {
        Refusal::new(400, ErrorCode::ArtifactInvalid, error.to_string())
            .with_hint("choose another name with `errand agent artifact PATH --name NAME`")
    })?;
    check_declared(&body, limit::ARTIFACT_BYTES)?;
    let (mut file, path) = create(context)?;
    let (digest, size_bytes) = receive(&mut file, body).await?;
    drop(file);
    let upload =
        Upload { name: name.clone(), path: path.0.clone(), digest, size_bytes, media_type };
    let answer = ArtifactAnswer {
        name,
        uri: String::new(),
        digest: upload.digest.as_str().to_owned(),
        size_bytes,
        media_type: upload.media_type.clone(),
    };
    let uri = context.backend.keep_artifact(upload).await?;
    Ok(ArtifactAnswer { uri, ..answer })
}

async fn receive(file: &mut File, mut body: Incoming) -> Result<(Digest, u64), Refusal> {
    let mut hasher = Sha256::new();
    let mut size_bytes = 0_u64;
    while let Some(bytes) = piece(&mut body).await? {
        size_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size_bytes > limit::ARTIFACT_BYTES {
            return Err(too_large(limit::ARTIFACT_BYTES));
        }
        hasher.update(&bytes);
        file.write_all(&bytes).map_err(|error| cannot_write(&error))?;
    }
    Ok((Digest::from_hash(&hasher.finalize().into()), size_bytes))
}

/// A file that is removed on drop, if it is still there.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        // Usually the file is gone, because the backend moved it.
        drop(std::fs::remove_file(&self.0));
    }
}

fn create(context: &Context) -> Result<(File, Leftover), Refusal> {
    for _ in 0..NAME_TRIES {
        let number = context.next_upload.fetch_add(1, Ordering::Relaxed);
        let name = format!("upload-{}-{number}", std::process::id());
        let path = context.uploads.join(name);
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, Leftover(path))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_write(&error)),
        }
    }
    Err(Refusal::internal("no free name for an upload"))
}

fn cannot_write(error: &io::Error) -> Refusal {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { ErrorCode::DiskFull } else { ErrorCode::IoFailed };
    Refusal::new(507, code, format!("the file cannot be written: {error}"))
}
