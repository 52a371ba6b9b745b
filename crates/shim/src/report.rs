//! Reports of the shim to errand.

use crate::FilePiece;
use crate::wire::{Decoder, Encoder, Malformed};

/// Longest piece of output in one report. The report fits into a pipe of one page: the system may
/// refuse a larger one to a user who has many pipes.
pub const REPORT_BYTES: usize = 4_000;
/// Longest report in bytes: a piece of a file, and the fields beside it.
const LIMIT_BYTES: u64 = 64 * 1_024;

/// Report of the shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The command was started.
    Started,
    /// The command was not started; the last report.
    NotStarted(StartProblem),
    /// The command printed this to stdout.
    Stdout(Vec<u8>),
    /// The command printed this to stderr.
    Stderr(Vec<u8>),
    /// The command and everything that it started has ended; the last report.
    Ended(CommandEnd),
    /// All processes of the container are frozen.
    Frozen,
    /// A piece of a file of a Pod, after the end of its command.
    File(FilePiece),
}

/// Reason why a command was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartProblem {
    /// The working directory cannot be entered: number of the error.
    WorkingDirectory(i32),
    /// The input cannot be opened: number of the error.
    Input(i32),
    /// The program cannot be executed: number of the error.
    Program(i32),
    /// The brief is not the one that its key names.
    Brief,
}

/// End of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandEnd {
    /// Exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
    /// Signal that ended the command otherwise.
    pub signal: Option<i32>,
    /// Milliseconds from the start to the end of the command.
    pub wall_ms: u64,
    /// Microseconds of processor time of the container; 0 if its control group cannot be read.
    pub cpu_us: u64,
    /// Highest use of memory of the container in bytes; 0 if its control group cannot be read.
    pub memory_peak_bytes: u64,
    /// Processes that the kernel killed since the container's memory was used up.
    pub oom_kills: u64,
    /// Processes that the command left behind and that had to be ended.
    pub stragglers: u64,
}

impl Report {
    /// Returns the report as bytes, its length first.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Encoder::default();
        match self {
            Self::Started => fields.number(0),
            Self::NotStarted(problem) => {
                let (which, errno) = match problem {
                    StartProblem::WorkingDirectory(errno) => (0, errno),
                    StartProblem::Input(errno) => (1, errno),
                    StartProblem::Program(errno) => (2, errno),
                    StartProblem::Brief => (3, &0),
                };
                fields.number(1);
                fields.number(which);
                fields.number(u64::try_from(*errno).unwrap_or_default());
            }
            Self::Stdout(bytes) => {
                fields.number(2);
                fields.bytes(bytes);
            }
            Self::Stderr(bytes) => {
                fields.number(3);
                fields.bytes(bytes);
            }
            Self::Ended(end) => {
                fields.number(4);
                for number in [end.code, end.signal] {
                    // One more than the number, so that 0 is none.
                    let number = number.map_or(0, |number| i64::from(number) + 1);
                    fields.number(u64::try_from(number).unwrap_or_default());
                }
                let peak = end.memory_peak_bytes;
                for number in [end.wall_ms, end.cpu_us, peak, end.oom_kills, end.stragglers] {
                    fields.number(number);
                }
            }
            Self::Frozen => fields.number(5),
            Self::File(piece) => {
                fields.number(6);
                piece.encode(&mut fields);
            }
        }
        let mut message = Encoder::default();
        message.bytes(&fields.0);
        message.0
    }

    fn decode(fields: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match fields.number()? {
            0 => Ok(Self::Started),
            1 => {
                let which = fields.number()?;
                let errno = i32::try_from(fields.number()?).map_err(|_| Malformed)?;
                Ok(Self::NotStarted(match which {
                    0 => StartProblem::WorkingDirectory(errno),
                    1 => StartProblem::Input(errno),
                    2 => StartProblem::Program(errno),
                    3 => StartProblem::Brief,
                    _ => return Err(Malformed),
                }))
            }
            2 => fields.bytes().map(Self::Stdout),
            3 => fields.bytes().map(Self::Stderr),
            4 => {
                let (code, signal) = (optional(fields)?, optional(fields)?);
                Ok(Self::Ended(CommandEnd {
                    code,
                    signal,
                    wall_ms: fields.number()?,
                    cpu_us: fields.number()?,
                    memory_peak_bytes: fields.number()?,
                    oom_kills: fields.number()?,
                    stragglers: fields.number()?,
                }))
            }
            5 => Ok(Self::Frozen),
            6 => FilePiece::decode(fields).map(Self::File),
            _ => Err(Malformed),
        }
    }
}

fn optional(fields: &mut Decoder<'_>) -> Result<Option<i32>, Malformed> {
    match fields.number()? {
        0 => Ok(None),
        number => i32::try_from(number - 1).map(Some).map_err(|_| Malformed),
    }
}

/// Reader that cuts bytes of the pipe into reports.
#[derive(Debug, Default)]
pub struct ReportReader {
    bytes: Vec<u8>,
    read: usize,
}

impl ReportReader {
    /// Takes the next bytes of the pipe.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the number of bytes that the reports had since the last [`ReportReader::push`].
    pub const fn read_bytes(&self) -> usize {
        self.read
    }

    /// Returns the next whole report; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: another program wrote into the pipe. No later report can be found.
    pub fn next_report(&mut self) -> Result<Option<Report>, Malformed> {
        let Some((length, rest)) = self.bytes[self.read..].split_first_chunk::<8>() else {
            return Ok(None);
        };
        let length = u64::from_le_bytes(*length);
        if length > LIMIT_BYTES {
            return Err(Malformed);
        }
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let Some((report, _)) = rest.split_at_checked(length) else { return Ok(None) };
        let report = Report::decode(&mut Decoder(report))?;
        self.read += length + 8;
        Ok(Some(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_were_written_however_they_are_cut() {
        let end = CommandEnd {
            code: Some(0),
            signal: None,
            wall_ms: 7,
            cpu_us: 8,
            memory_peak_bytes: 9,
            oom_kills: 1,
            stragglers: 2,
        };
        let reports = [
            Report::Started,
            Report::NotStarted(StartProblem::Program(2)),
            Report::NotStarted(StartProblem::Brief),
            Report::Stdout(b"out".to_vec()),
            Report::Stderr(vec![0; REPORT_BYTES]),
            Report::Frozen,
            Report::File(FilePiece::Cut { root: "/w".into() }),
            Report::Ended(end),
        ];
        let bytes: Vec<u8> = reports.iter().flat_map(Report::encode).collect();
        for size in [1, 7, bytes.len()] {
            let mut reader = ReportReader::default();
            let mut read = Vec::new();
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(report) = reader.next_report().unwrap() {
                    read.push(report);
                }
            }
            assert_eq!(read, reports);
        }
        let mut reader = ReportReader::default();
        reader.push(&[255; 8]);
        assert!(reader.next_report().is_err());
    }
}
