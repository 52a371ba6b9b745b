//! Command line of the program.

use std::path::PathBuf;

/// Parsed command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// The program to measure, a release build.
    pub(crate) errand: PathBuf,
    /// Folder for registries, on the disk to be measured.
    pub(crate) folder: PathBuf,
    /// Number of repetitions of each measurement, with floors in between.
    pub(crate) rounds: u32,
    /// Number of runs in the long registry.
    pub(crate) runs: u32,
    /// Number of ended runs with which costs are compared with those of an almost empty registry.
    pub(crate) history: u32,
    /// Time for which a snapshot of PostgreSQL is pinned, in seconds.
    pub(crate) pinned_seconds: u32,
    /// Time for which an idle service is watched, in seconds.
    pub(crate) idle_seconds: u32,
    /// Output of the agent in the log measurement, in MiB.
    pub(crate) log_mib: u32,
    /// Model calls of each workload in a round.
    pub(crate) calls: u32,
    /// Program that measures another queue.
    pub(crate) peer: PathBuf,
    /// Program of `LiteLLM`.
    pub(crate) litellm: PathBuf,
    /// True if the report is JSON.
    pub(crate) json: bool,
    /// File of shares that the measured ones are compared with.
    pub(crate) compared_with: Option<PathBuf>,
    /// File that gets the measured shares, and the commit that they are of.
    pub(crate) saved_to: Option<(PathBuf, String)>,
    /// True if everything is to be measured in about three minutes.
    is_quick: bool,
    sections: Vec<String>,
}

impl Arguments {
    /// Parses the words after the program's name.
    ///
    /// # Errors
    ///
    /// The usage, below a description of the mistake.
    pub(crate) fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut this = Self {
            errand: PathBuf::from("target/release/errand"),
            folder: PathBuf::from("."),
            rounds: 7,
            runs: 10_000,
            history: 1_000_000,
            pinned_seconds: 900,
            idle_seconds: 60,
            log_mib: 1024,
            calls: 2_000,
            peer: PathBuf::from("bench/peer/target/release/errand-bench-peer"),
            litellm: PathBuf::from("bench/litellm/bin/litellm"),
            json: false,
            compared_with: None,
            saved_to: None,
            is_quick: false,
            sections: Vec::new(),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => this.json = true,
                "--quick" => this.be_quick(),
                "--compare" => this.compared_with = Some(value(&word, words.next())?.into()),
                "--save" => {
                    let file = value(&word, words.next())?.into();
                    this.saved_to = Some((file, value("--save FILE", words.next())?));
                }
                "--errand" => this.errand = value(&word, words.next())?.into(),
                "--dir" => this.folder = value(&word, words.next())?.into(),
                "--rounds" => this.rounds = number(&word, words.next())?,
                "--runs" => this.runs = number(&word, words.next())?,
                "--history" => this.history = number(&word, words.next())?,
                "--pinned-seconds" => this.pinned_seconds = number(&word, words.next())?,
                "--idle-seconds" => this.idle_seconds = number(&word, words.next())?,
                "--log-mib" => this.log_mib = number(&word, words.next())?,
                "--calls" => this.calls = number(&word, words.next())?,
                "--peer" => this.peer = value(&word, words.next())?.into(),
                "--litellm" => this.litellm = value(&word, words.next())?.into(),
                "--help" | "-h" => return Err(usage("")),
                name if !name.starts_with('-') => this.sections.push(word),
                _ => return Err(usage(&format!("unknown word: {word}\n\n"))),
            }
        }
        let program = this.errand.canonicalize();
        this.errand = program.map_err(|error| {
            usage(&format!(
                "{}: {error}\nbuild it first: cargo build --release\n\n",
                this.errand.display()
            ))
        })?;
        Ok(this)
    }

    /// Chooses fewer repetitions and smaller amounts: everything is measured in about three minutes.
    fn be_quick(&mut self) {
        self.is_quick = true;
        self.rounds = 3;
        self.runs = 500;
        self.idle_seconds = 5;
        self.log_mib = 128;
        self.calls = 200;
    }

    /// Returns a requested section that is none of `known`.
    pub(crate) fn unknown_section(&self, known: impl Fn(&str) -> bool) -> Option<&str> {
        self.sections.iter().map(String::as_str).find(|name| !known(name))
    }

    /// Returns true if a section is requested; without names all are, but for long ones if it has
    /// to be quick.
    pub(crate) fn wants(&self, section: &str, is_long: bool) -> bool {
        if self.sections.is_empty() {
            return !(self.is_quick && is_long);
        }
        self.sections.iter().any(|name| name == section)
    }
}

fn value(option: &str, word: Option<String>) -> Result<String, String> {
    word.ok_or_else(|| usage(&format!("{option} needs a value\n\n")))
}

fn number(option: &str, word: Option<String>) -> Result<u32, String> {
    let word = value(option, word)?;
    match word.parse() {
        Ok(number @ 1..) => Ok(number),
        Ok(0) | Err(_) => Err(usage(&format!("{option} needs a number from 1 on, not {word}\n\n"))),
    }
}

/// Returns the usage, which the names of the sections follow.
pub(crate) fn usage(complaint: &str) -> String {
    format!(
        "{complaint}usage: errand-bench [OPTIONS] [SECTION]...\n\n\
         --errand PATH      the program to measure (target/release/errand)\n\
         --dir PATH         where registries are made: the disk that is measured (.)\n\
         --rounds N         repetitions of each measurement, floors between (7)\n\
         --runs N           runs in the long registry (10000)\n\
         --history N        ended runs in the registry of `growth` (1000000)\n\
         --pinned-seconds N how long `growth` pins a snapshot (900)\n\
         --idle-seconds N   how long an idle service is watched (60)\n\
         --log-mib N        how much an agent prints (1024)\n\
         --calls N          model calls of each format in a round (2000)\n\
         --peer PATH        the program of `peer` (bench/peer/target/release/errand-bench-peer)\n\
         --litellm PATH     the program of `litellm` (bench/litellm/bin/litellm)\n\
         --quick            3 rounds, 500 runs, 5 s idle, 128 MiB, 200 calls, no long sections\n\
         --compare FILE     shows the shares in FILE beside the measured ones\n\
         --save FILE COMMIT writes the shares to FILE, as those of COMMIT\n\
         --json             a machine-readable report\n\nsections, all unless named:\n"
    )
}
