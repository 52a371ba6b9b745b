//! Sections of measurements, one file each.

mod bus;
mod commands;
mod coordinators;
mod detached;
mod growth;
mod http;
mod journals;
mod listener;
mod listing;
mod litellm;
mod memory;
mod models;
mod output;
mod peer;
mod postgres;
mod runs;
mod steps;
mod store;
mod stream;
mod tasks;
mod tools;
mod usage;
mod worker;
mod workers;

use crate::Failure;
use crate::arguments::Arguments;
use crate::report::Line;

/// A group of targets that are measured together.
pub(crate) struct Section {
    /// Name on the command line.
    pub(crate) name: &'static str,
    /// Description.
    pub(crate) about: &'static str,
    /// True if it takes minutes: `--quick` leaves it out unless it is named.
    pub(crate) is_long: bool,
    /// Function that measures.
    pub(crate) measure: fn(&Arguments) -> Result<Vec<Line>, Failure>,
}

/// All sections, in the order of the report.
pub(crate) const ALL: &[Section] = &[
    Section {
        name: "commands",
        about: "starting the program",
        is_long: false,
        measure: commands::measure,
    },
    Section {
        name: "detached",
        about: "runs of an agent that does nothing",
        is_long: false,
        measure: detached::measure,
    },
    Section {
        name: "listing",
        about: "ps with a long history, inspect-run, logs",
        is_long: false,
        measure: listing::measure,
    },
    Section {
        name: "steps",
        about: "durable steps, from a shell and over the socket",
        is_long: false,
        measure: steps::measure,
    },
    Section {
        name: "runs",
        about: "runs of ten steps, one alone and 64 at once",
        is_long: false,
        measure: runs::measure,
    },
    Section {
        name: "models",
        about: "model calls through errand, ten at once, in six formats",
        is_long: false,
        measure: models::measure,
    },
    Section {
        name: "litellm",
        about: "the model calls of `models` through the proxy of LiteLLM",
        is_long: true,
        measure: litellm::measure,
    },
    Section {
        name: "tools",
        about: "tool calls through errand, one after the other",
        is_long: false,
        measure: tools::measure,
    },
    Section {
        name: "journals",
        about: "long journals: append, resume, verify",
        is_long: false,
        measure: journals::measure,
    },
    Section {
        name: "memory",
        about: "what helpers weigh, and what an idle service does",
        is_long: false,
        measure: memory::measure,
    },
    Section {
        name: "output",
        about: "an agent that prints a lot",
        is_long: false,
        measure: output::measure,
    },
    Section {
        name: "store",
        about: "the registry alone, from one process",
        is_long: false,
        measure: store::measure,
    },
    Section {
        name: "postgres",
        about: "the registry in PostgreSQL, against one-row commits on the same server",
        is_long: false,
        measure: postgres::measure,
    },
    Section {
        name: "peer",
        about: "the drain of graphile_worker (bench/peer), beside ours",
        is_long: true,
        measure: peer::measure,
    },
    Section {
        name: "usage",
        about: "sums over a hundred thousand runs",
        is_long: true,
        measure: usage::measure,
    },
    Section {
        name: "listener",
        about: "a wake by a request",
        is_long: false,
        measure: listener::measure,
    },
    Section {
        name: "stream",
        about: "streams of events: the first, tokens, a thousand clients",
        is_long: false,
        measure: stream::measure,
    },
    Section {
        name: "http",
        about: "POST /v1/runs of 64 clients, on SQLite and on PostgreSQL",
        is_long: false,
        measure: http::measure,
    },
    Section {
        name: "tasks",
        about: "POST /tasks of 16 clients of a dispatcher",
        is_long: false,
        measure: tasks::measure,
    },
    Section {
        name: "bus",
        about: "tasks that a dispatcher takes from a bus",
        is_long: false,
        measure: bus::measure,
    },
    Section {
        name: "growth",
        about: "costs with a million runs of history, and under a pinned snapshot",
        is_long: true,
        measure: growth::measure,
    },
    Section {
        name: "workers",
        about: "one queue on PostgreSQL with 4 to 256 workers, busy and idle",
        is_long: true,
        measure: workers::measure,
    },
    Section {
        name: "coordinators",
        about: "runs that are made of runs: fan-outs on PostgreSQL, a crowd that waits",
        is_long: true,
        measure: coordinators::measure,
    },
    Section {
        name: "worker",
        about: "short runs through two slots",
        is_long: false,
        measure: worker::measure,
    },
];
