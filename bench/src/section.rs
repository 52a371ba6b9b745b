//! Sections of measurements, one file each.

mod commands;
mod coordinators;
mod detached;
mod journals;
mod listener;
mod listing;
mod memory;
mod output;
mod postgres;
mod runs;
mod steps;
mod store;
mod stream;
mod usage;
mod worker;

use crate::Failure;
use crate::arguments::Arguments;
use crate::report::Line;

/// A group of targets that are measured together.
pub(crate) struct Section {
    /// Name on the command line.
    pub(crate) name: &'static str,
    /// Description.
    pub(crate) about: &'static str,
    /// Function that measures.
    pub(crate) measure: fn(&Arguments) -> Result<Vec<Line>, Failure>,
}

/// All sections, in the order of the report.
pub(crate) const ALL: &[Section] = &[
    Section { name: "commands", about: "starting the program", measure: commands::measure },
    Section {
        name: "detached",
        about: "runs of an agent that does nothing",
        measure: detached::measure,
    },
    Section {
        name: "listing",
        about: "ps with a long history, inspect-run, logs",
        measure: listing::measure,
    },
    Section {
        name: "steps",
        about: "durable steps, from a shell and over the socket",
        measure: steps::measure,
    },
    Section {
        name: "runs",
        about: "runs of ten steps, one alone and 64 at once",
        measure: runs::measure,
    },
    Section {
        name: "journals",
        about: "long journals: append, resume, verify",
        measure: journals::measure,
    },
    Section {
        name: "memory",
        about: "what helpers weigh, and what an idle service does",
        measure: memory::measure,
    },
    Section { name: "output", about: "an agent that prints a lot", measure: output::measure },
    Section {
        name: "store",
        about: "the registry alone, from one process",
        measure: store::measure,
    },
    Section {
        name: "postgres",
        about: "the registry in PostgreSQL, against one-row commits on the same server",
        measure: postgres::measure,
    },
    Section { name: "usage", about: "sums over a hundred thousand runs", measure: usage::measure },
    Section { name: "listener", about: "a wake by a request", measure: listener::measure },
    Section {
        name: "stream",
        about: "streams of events: the first, tokens, a thousand clients",
        measure: stream::measure,
    },
    Section {
        name: "coordinators",
        about: "runs that are made of runs: fan-outs on PostgreSQL, a crowd that waits",
        measure: coordinators::measure,
    },
    Section { name: "worker", about: "short runs through two slots", measure: worker::measure },
];
