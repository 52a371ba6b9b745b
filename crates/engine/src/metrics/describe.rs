//! Names and help texts of the engine's metrics.
//!
//! Names never change, since dashboards depend on them. Each ends with its unit.

use prometheus_client::registry::Unit;

use super::{MetricTable, Metrics};

impl Metrics {
    /// Adds all metrics to `table`.
    pub fn describe(&self, table: &mut MetricTable) {
        self.describe_runs(table);
        self.describe_attempts(table);
        self.describe_models(table);
        table.add(
            "errand_webhook_deliveries",
            "Tries to report a run to its callback address",
            self.deliveries.clone(),
        );
        table.add_in(
            Unit::Seconds,
            "errand_store_commit",
            "How long the store took to make a change durable",
            self.commits.clone(),
        );
        table.add(
            "errand_store_commits_failed",
            "Changes that the store refused or could not make",
            self.commits_failed.clone(),
        );
    }

    fn describe_runs(&self, table: &mut MetricTable) {
        table.add("errand_runs_admitted", "Runs that were admitted", self.admitted.clone());
        table.add(
            "errand_runs_transitions",
            "How often runs came to a status",
            self.transitions.clone(),
        );
        table.add(
            "errand_runs_requeued",
            "How often runs went back into the queue",
            self.requeued.clone(),
        );
        table.add(
            "errand_runs_dead_lettered",
            "Runs whose attempts are spent",
            self.dead_lettered.clone(),
        );
        table.add_in(
            Unit::Seconds,
            "errand_run_duration",
            "From admission to the end of a run",
            self.durations.family(),
        );
        table.add_in(
            Unit::Seconds,
            "errand_claim_latency",
            "From when a run could be claimed until it was",
            self.claim_latency.clone(),
        );
    }

    fn describe_attempts(&self, table: &mut MetricTable) {
        table.add("errand_attempts_started", "Attempts that began", self.attempts.clone());
        table.add(
            "errand_attempts_failed",
            "Attempts that failed, by error code",
            self.attempts_failed.family(),
        );
        table.add(
            "errand_leases_lost",
            "Leases that this process held and lost",
            self.leases_lost.clone(),
        );
        table.add(
            "errand_leases_renewed",
            "Leases that this process renewed",
            self.leases_renewed.clone(),
        );
        table.add(
            "errand_leases_taken_over",
            "Leases taken from holders that were lost",
            self.leases_taken.clone(),
        );
    }

    fn describe_models(&self, table: &mut MetricTable) {
        table.add("errand_model_calls", "Calls of models", self.calls.family());
        table.add(
            "errand_model_tokens",
            "Tokens: input contains cached_input, output reasoning_output",
            self.tokens.family(),
        );
        table.add(
            "errand_model_cost_micro_usd",
            "What calls cost, in millionths of a US dollar",
            self.micro_usd.family(),
        );
        table.add(
            "errand_model_calls_unpriced",
            "Calls whose cost is not known",
            self.unpriced.family(),
        );
    }
}
