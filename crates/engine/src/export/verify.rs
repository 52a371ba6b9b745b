//! Verification of an exported run, or of a journal file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use errand_model::Head;

use super::FileError;
use super::check::read;
use crate::evidence::{EvidencePlace, EvidenceProblem, Finding, Lines, VerifiedRegistry};

/// Verifies an export or a journal file.
///
/// # Errors
///
/// [`FileError`] if the file is neither, or if an export was changed outside its journals and
/// blobs. A change of those is a finding, not an error.
pub fn verify_file(path: &Path) -> Result<VerifiedRegistry, FileError> {
    let mut file = super::error::open(path)?;
    if BufReader::new(&mut file).fill_buf()?.first() == Some(&b'{') {
        file.seek(SeekFrom::Start(0))?;
        return verify_lines(path, file);
    }
    match read(&file) {
        Ok(contents) => Ok(VerifiedRegistry {
            children: u64::try_from(contents.manifest.children.len()).unwrap_or(u64::MAX),
            run_id: contents.manifest.run_id,
            events: contents.manifest.events,
            is_sealed: contents.runs.values().all(|journal| journal.is_over),
            hash: contents.manifest.hash,
            findings: Vec::new(),
        }),
        Err(FileError::Tampered { run_id, finding }) => {
            let events = finding.problem.seq().map_or(0, |seq| seq.saturating_sub(1));
            let hash = String::new();
            Ok(VerifiedRegistry {
                run_id,
                events,
                is_sealed: false,
                hash,
                children: 0,
                findings: vec![*finding],
            })
        }
        Err(error) => Err(error),
    }
}

fn verify_lines(path: &Path, file: File) -> Result<VerifiedRegistry, FileError> {
    let mut lines = Lines::new(path.to_owned(), Some(file), None);
    let (head, is_sealed) = lines.alone(Head::EMPTY).map_err(crate::Error::from)?;
    let Some(run_id) = lines.run_id().cloned() else {
        return Err(FileError::Foreign { reason: "its first line is no event".to_owned() });
    };
    let place = EvidencePlace::File(path.to_owned());
    let found = lines.found().map(|told| Finding { place, problem: EvidenceProblem::Event(told) });
    let findings = found.into_iter().collect();
    let hash = head.hash.to_string();
    Ok(VerifiedRegistry { run_id, events: head.seq, is_sealed, hash, children: 0, findings })
}
