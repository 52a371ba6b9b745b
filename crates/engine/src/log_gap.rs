//! Lines of a run's log that the shared log lacks: their writer was killed before it sent them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use errand_model::RunId;
use errand_store::SharedLogs;

use crate::error::IoFailure;
use crate::logs::Error;

/// Bytes at the end of a log in which the gap is looked for: a writer keeps so many that it has not
/// sent.
const GAP_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes at the end of the shared log that are looked for in the log. Lines begin with the time in
/// nanoseconds, so they are unique.
const END_BYTES: usize = 512;
/// Parts read at once: the last of them is the end of the log.
const PARTS: u32 = 64;

/// Returns what follows in a log of this machine on the end of the shared log. Empty if nothing does,
/// or if the log does not have that end: another machine wrote it.
///
/// # Errors
///
/// If the shared log cannot be reached, or the log cannot be read.
pub(crate) fn unsent(
    shared: &dyn SharedLogs,
    run_id: &RunId,
    log: &Path,
) -> Result<Vec<u8>, Error> {
    let (bytes, is_whole) = match last_bytes(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(IoFailure::of("read", log.to_path_buf()))?,
    };
    let end = shared.end(run_id)?;
    if end == 0 {
        return Ok(if is_whole { bytes } else { Vec::new() });
    }
    let wanted = end.saturating_sub(u64::try_from(END_BYTES).unwrap_or(0));
    let parts = shared.read(run_id, wanted, PARTS)?;
    let sent: Vec<u8> = parts.into_iter().flat_map(|part| part.bytes).collect();
    let sent = sent.get(sent.len().saturating_sub(END_BYTES)..).unwrap_or_default();
    let found = memchr::memmem::rfind(&bytes, sent).map(|at| at + sent.len());
    Ok(found.and_then(|at| bytes.get(at..)).unwrap_or_default().to_vec())
}

/// Returns the last bytes of a file, and whether they are the whole file.
fn last_bytes(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(GAP_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(GAP_BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, from == 0))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use errand_model::Timestamp;
    use errand_store::LogPart;

    use super::*;

    /// The parts of one shared log.
    #[derive(Debug, Default)]
    struct OneLog(Mutex<Vec<u8>>);

    impl SharedLogs for OneLog {
        fn append(&self, _: &RunId, part: LogPart) -> Result<(), errand_store::Error> {
            self.0.lock().unwrap().extend(part.bytes);
            Ok(())
        }

        fn read(&self, _: &RunId, from: u64, _: u32) -> Result<Vec<LogPart>, errand_store::Error> {
            let bytes = self.0.lock().unwrap()[usize::try_from(from).unwrap()..].to_vec();
            let at = Timestamp::from_millis(1);
            Ok(vec![LogPart { attempt: 1, at, offset: from, bytes }])
        }

        fn end(&self, _: &RunId) -> Result<u64, errand_store::Error> {
            Ok(u64::try_from(self.0.lock().unwrap().len()).unwrap())
        }

        fn remove_orphans(&self, _: Timestamp) -> Result<u64, errand_store::Error> {
            Ok(0)
        }

        fn size_bytes(&self) -> Result<u64, errand_store::Error> {
            Ok(0)
        }
    }

    fn gap(sent: &str, log: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log).unwrap();
        let shared = OneLog(Mutex::new(sent.as_bytes().to_vec()));
        let run_id = RunId::new(Timestamp::from_millis(1), 1);
        String::from_utf8(unsent(&shared, &run_id, &path).unwrap()).unwrap()
    }

    #[test]
    fn lines_behind_the_end_of_the_shared_log_are_found() {
        assert_eq!(gap("1 a\n2 b\n", "1 a\n2 b\n3 c\n"), "3 c\n");
        assert_eq!(gap("0 elsewhere\n1 a\n", "0 elsewhere\n1 a\n"), "");
        assert_eq!(gap("", "1 a\n"), "1 a\n");
        // A part may end within a line.
        assert_eq!(gap("1 a\n2", "1 a\n2 b\n"), " b\n");
        // Another machine wrote the end.
        assert_eq!(gap("1 a\n9 z\n", "1 a\n2 b\n"), "");
        let long: String = (0..1_000).map(|line| format!("{line} text\n")).collect();
        assert_eq!(gap(&long, &format!("{long}x\n")), "x\n");
    }

    #[test]
    fn a_log_that_does_not_exist_has_no_gap() {
        let run_id = RunId::new(Timestamp::from_millis(1), 1);
        let path = Path::new("/no/such/log");
        assert_eq!(unsent(&OneLog::default(), &run_id, path).unwrap(), b"");
    }
}
