//! Computation of a parcel's digest from a folder: everything is read, nothing is written.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use errand_api::agent_file::Agent;
use errand_model::Digest;
use rustix::fs::OFlags;
use sha2::Digest as _;

use super::credentials;
use super::error::Error;
use super::manifest::{Content, Manifest, ParcelFile, canonical_json};
use super::rules::{Rules, Verdict};
use super::source::Source;
use super::survey::{FoundFile, FoundKind, Survey, survey};

/// Number of files named in an error about credentials.
const NAMED_CREDENTIALS: usize = 10;
/// Bytes that are read and written at once.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;

/// Everything of a parcel except the files' bytes.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) folder: PathBuf,
    pub(super) digest: Digest,
    pub(super) agent: Agent,
    pub(super) definition_json: String,
    pub(super) manifest: Manifest,
    pub(super) manifest_json: String,
    pub(super) left_out: Vec<String>,
}

/// Packs a folder whose agent file, with that digest, defines `agent`.
pub(super) fn pack(
    source: &Source,
    agent: Agent,
    agent_file_digest: &Digest,
) -> Result<Packed, Error> {
    let Survey { found, left_out } = survey(&source.folder)?;
    check_needed(source, &agent)?;
    let mut files = Vec::with_capacity(found.len());
    let mut suspects = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    for file in found {
        files.push(hash_found(&source.folder, file, &mut chunk, &mut suspects)?);
    }
    if !suspects.is_empty() {
        suspects.sort();
        suspects.truncate(NAMED_CREDENTIALS);
        return Err(Error::Credentials { paths: suspects });
    }
    check_agent_file(source, &files, agent_file_digest)?;
    let encode = |error: serde_json::Error| Error::Io {
        action: "encode the definition of",
        path: source.agent_file.clone(),
        source: error.into(),
    };
    let definition_json = canonical_json(&agent).map_err(encode)?;
    let manifest = Manifest::new(Digest::of(definition_json.as_bytes()), files);
    let manifest_json = canonical_json(&manifest).map_err(encode)?;
    Ok(Packed {
        folder: source.folder.clone(),
        digest: Digest::of(manifest_json.as_bytes()),
        agent,
        definition_json,
        manifest,
        manifest_json,
        left_out,
    })
}

/// Refuses an agent whose own files are left out, which would otherwise only be noticed when it
/// runs.
fn check_needed(source: &Source, agent: &Agent) -> Result<(), Error> {
    let folder = fs::canonicalize(&source.folder).map_err(Error::io("look at", &source.folder))?;
    let rules = Rules::of(&folder);
    let name = source.agent_file.file_name().map(Path::new);
    // The program, and the first argument of an interpreter.
    let arguments = agent.command.iter().skip(1).filter(|word| !word.starts_with('-'));
    let words = agent.command.first().into_iter().chain(arguments.take(1));
    let needed = name.into_iter().chain(words.map(Path::new)).filter_map(|path| {
        let inside = path.strip_prefix(&folder).unwrap_or(path);
        let is_inside = inside
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        (is_inside && folder.join(inside).is_file()).then_some(inside)
    });
    for path in needed {
        let named: PathBuf =
            path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let by = match rules.verdict_of_all(&named) {
            Verdict::Packed | Verdict::Named => continue,
            Verdict::Ignored { by } => Some(by),
            Verdict::LeftOut => None,
        };
        return Err(Error::NeededLeftOut { path: named.display().to_string(), by });
    }
    Ok(())
}

fn hash_found(
    folder: &Path,
    found: FoundFile,
    chunk: &mut [u8],
    suspects: &mut Vec<String>,
) -> Result<ParcelFile, Error> {
    let content = match found.kind {
        FoundKind::Link { target } => Content::Link { target },
        FoundKind::File { size_bytes, executable } => {
            let mut file = open_source(folder, &found.path)?;
            let full = folder.join(&found.path);
            let mut begin = Vec::new();
            let look = |part: &[u8]| {
                let room = credentials::LOOK_BYTES.saturating_sub(begin.len());
                begin.extend_from_slice(&part[..part.len().min(room)]);
                Ok(())
            };
            let copied = read_through(&mut file, size_bytes, chunk, look)
                .map_err(Error::io("read", &full))?;
            let tells = || {
                credentials::by_name(&found.path) || credentials::by_content(&found.path, &begin)
            };
            if !found.is_named && tells() {
                suspects.push(found.path.clone());
            }
            let Some(digest) = copied else {
                return Err(Error::SourceChanged { path: found.path });
            };
            Content::File { size_bytes, executable, digest }
        }
    };
    Ok(ParcelFile { path: found.path, content })
}

/// Opens a path that was a file a moment ago, without blocking if it no longer is.
pub(super) fn open_source(folder: &Path, path: &str) -> Result<fs::File, Error> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let full = folder.join(path);
    let changed = || Error::SourceChanged { path: path.to_owned() };
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(&full) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(changed()),
        Err(error) => return Err(Error::io("open", &full)(error)),
    };
    let metadata = file.metadata().map_err(Error::io("look at", &full))?;
    if metadata.is_file() { Ok(file) } else { Err(changed()) }
}

/// Reads `input` to its end, and passes every chunk to `take`. Returns the digest; `None` if the
/// length is not exactly `size_bytes`.
pub(super) fn read_through(
    input: &mut impl Read,
    size_bytes: u64,
    chunk: &mut [u8],
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<Option<Digest>> {
    let mut hash = sha2::Sha256::new();
    let mut length = 0_u64;
    loop {
        let count = match input.read(chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if length > size_bytes {
            return Ok(None);
        }
        hash.update(&chunk[..count]);
        take(&chunk[..count])?;
    }
    Ok((length == size_bytes).then(|| Digest::from_hash(&hash.finalize().into())))
}

/// Checks that the definition is that of the agent file that is packed.
fn check_agent_file(source: &Source, files: &[ParcelFile], read: &Digest) -> Result<(), Error> {
    let name = source.agent_file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let packed = files.iter().find(|file| file.path == name).map(|file| &file.content);
    match packed {
        Some(Content::File { digest, .. }) if digest != read => {
            Err(Error::SourceChanged { path: name.to_owned() })
        }
        // It is left out by the ignore file, or a link inside of the folder.
        Some(Content::File { .. } | Content::Link { .. }) | None => Ok(()),
    }
}
