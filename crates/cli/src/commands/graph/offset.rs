//! Times relative to the beginning of a run.

use errand_api::amount;
use errand_api::graph::Graph;
use errand_model::Timestamp;

/// Formats the time between the run's beginning and `at`.
pub(super) fn offset(graph: &Graph, at: Option<Timestamp>) -> String {
    at.map_or("-".to_owned(), |at| amount::duration(at.since(graph.created_at_ms)))
}
