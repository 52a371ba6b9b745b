//! Handlers of routes: one file per verb, and the list that pairs them with the table.
//!
//! A new route needs three things: an entry in an area's table (`errand_api::gateway`, where its
//! types are too), a file here with its handler, and a line in the list below; a command to a run
//! that needs nothing else has its handler and its line in `run_actions.rs`. Before a handler is
//! called, the guard has checked the caller's key and scope, and an extractor of `crate::extract`
//! has checked query and body against the table; [`crate::extract::OneRun`] is a run of the
//! caller's namespace.

mod agents;
mod approvals;
mod by;
mod callbacks;
mod cancel_run;
mod catalog;
mod create_run;
mod dead_letters;
mod delete_run;
mod export_run;
mod files;
mod find_runs;
mod follow_runs;
mod fork_run;
mod get_brief;
mod get_graph;
mod get_healthz;
mod get_metrics;
mod get_openapi;
mod get_readyz;
mod get_run;
mod get_trace;
mod handled;
mod hooks;
mod keys;
mod list_audit;
mod list_events;
mod list_messages;
mod list_runs;
mod list_steps;
mod proofs;
mod prune_runs;
mod push_agent;
mod receive_hook;
mod replay_run;
mod restart_run;
mod resume_run;
mod retry_run;
mod run_actions;
mod run_and_stream;
mod run_and_wait;
mod schedules;
mod sessions;
mod tasks;
mod usage;
mod values;
mod verify_run;
mod wait_for_run;
mod wake_run;
mod workers;

pub(crate) use handled::{Attach, Handled};

use handled::handled;

/// Returns all handlers, by the name of their route in the table.
pub(crate) fn handlers() -> Vec<Handled> {
    let mut all = meta();
    all.extend(runs());
    all.extend(run_actions::handlers());
    all.extend(access());
    all.extend(beside_runs());
    all.extend(dead_letters_and_sessions());
    all.extend(agents());
    all.extend(catalog());
    all.extend(callbacks());
    all.extend(hooks());
    all.extend(schedules());
    all.extend(tasks());
    all
}

/// Returns the handlers about the gateway itself.
fn meta() -> Vec<Handled> {
    vec![
        handled("get_openapi", get_openapi::get_openapi),
        handled("get_healthz", get_healthz::get_healthz),
        handled("get_readyz", get_readyz::get_readyz),
        handled("get_metrics", get_metrics::get_metrics),
    ]
}

/// Returns the handlers for administrators.
fn access() -> Vec<Handled> {
    vec![
        handled("list_keys", keys::list_keys),
        handled("create_key", keys::create_key),
        handled("revoke_key", keys::revoke_key),
        handled("list_audit", list_audit::list_audit),
    ]
}

/// Returns the handlers of runs.
fn runs() -> Vec<Handled> {
    vec![
        handled("follow_runs", follow_runs::follow_runs),
        handled("create_run", create_run::create_run),
        handled("run_and_wait", run_and_wait::run_and_wait),
        handled("run_and_stream", run_and_stream::run_and_stream),
        handled("list_runs", list_runs::list_runs),
        handled("get_run", get_run::get_run),
        handled("wait_for_run", wait_for_run::wait_for_run),
        handled("list_events", list_events::list_events),
        handled("list_steps", list_steps::list_steps),
        handled("list_messages", list_messages::list_messages),
        handled("get_graph", get_graph::get_graph),
        handled("get_brief", get_brief::get_brief),
        handled("get_trace", get_trace::get_trace),
        handled("verify_run", verify_run::verify_run),
        handled("export_run", export_run::export_run),
        handled("cancel_run", cancel_run::cancel_run),
        handled("resume_run", resume_run::resume_run),
        handled("restart_run", restart_run::restart_run),
        handled("wake_run", wake_run::wake_run),
        handled("retry_run", retry_run::retry_run),
        handled("fork_run", fork_run::fork_run),
        handled("replay_run", replay_run::replay_run),
        handled("delete_run", delete_run::delete_run),
    ]
}

/// Returns the handlers of agents.
fn agents() -> Vec<Handled> {
    vec![
        handled("push_agent", push_agent::push_agent),
        handled("list_agents", agents::list_agents),
        handled("get_agent", agents::get_agent),
        handled("list_versions", agents::list_versions),
        handled("get_version", agents::get_version),
        handled("delete_agent", agents::delete_agent),
        handled("delete_version", agents::delete_version),
    ]
}

/// Returns the handlers of the catalog.
fn catalog() -> Vec<Handled> {
    vec![
        handled("apply_catalog", catalog::apply_catalog),
        handled("list_definitions", catalog::list_definitions),
        handled("get_definition", catalog::get_definition),
        handled("put_definition", catalog::put_definition),
        handled("delete_definition", catalog::delete_definition),
    ]
}

/// Returns the handlers of a run's results, questions and use.
fn beside_runs() -> Vec<Handled> {
    vec![
        handled("find_runs", find_runs::find_runs),
        handled("prune_runs", prune_runs::prune_runs),
        handled("get_manifest", proofs::get_manifest),
        handled("get_comparison", proofs::get_comparison),
        handled("list_approvals", approvals::list_approvals),
        handled("decide_approval", approvals::decide_approval),
        handled("decide_only_approval", approvals::decide_only_approval),
        handled("provide_input", approvals::provide_input),
        handled("get_usage", usage::get_usage),
        handled("list_workers", workers::list_workers),
        handled("list_artifacts", files::list_artifacts),
        handled("get_artifact", files::get_artifact),
        handled("get_output", values::get_output),
        handled("get_input", values::get_input),
        handled("get_blob", values::get_blob),
        handled("get_log", files::get_log),
        handled("get_bom", files::get_bom),
        handled("list_boms", files::list_boms),
        handled("get_bom_generation", files::get_bom_generation),
    ]
}

/// Returns the handlers of dead letters and sessions.
fn dead_letters_and_sessions() -> Vec<Handled> {
    vec![
        handled("list_dead_letters", dead_letters::list_dead_letters),
        handled("get_dead_letter", dead_letters::get_dead_letter),
        handled("redrive_dead_letter", dead_letters::redrive_dead_letter),
        handled("discard_dead_letter", dead_letters::discard_dead_letter),
        handled("redrive_dead_letters", dead_letters::redrive_dead_letters),
        handled("discard_dead_letters", dead_letters::discard_dead_letters),
        handled("list_sessions", sessions::list_sessions),
        handled("create_session", sessions::create_session),
        handled("get_session", sessions::get_session),
        handled("delete_session", sessions::delete_session),
        handled("get_session_history", sessions::get_session_history),
        handled("get_session_state", sessions::get_session_state),
        handled("put_session_state", sessions::put_session_state),
    ]
}

/// Returns the handlers of reports.
fn callbacks() -> Vec<Handled> {
    vec![
        handled("list_deliveries", callbacks::list_deliveries),
        handled("list_callbacks", callbacks::list_callbacks),
        handled("redeliver_callback", callbacks::redeliver_callback),
        handled("list_callback_targets", callbacks::list_callback_targets),
        handled("create_callback_target", callbacks::create_callback_target),
        handled("delete_callback_target", callbacks::delete_callback_target),
        handled("enable_callback_target", callbacks::enable_callback_target),
        handled("disable_callback_target", callbacks::disable_callback_target),
        handled("rotate_callback_secret", callbacks::rotate_callback_secret),
    ]
}

/// Returns the handlers of hooks.
fn hooks() -> Vec<Handled> {
    vec![
        handled("list_hooks", hooks::list_hooks),
        handled("put_hook", hooks::put_hook),
        handled("get_hook", hooks::get_hook),
        handled("delete_hook", hooks::delete_hook),
        handled("list_hook_deliveries", hooks::list_hook_deliveries),
        handled("receive_hook", receive_hook::receive_hook),
        handled("receive_hook_of", receive_hook::receive_hook_of),
    ]
}

/// Returns the handlers of a dispatcher's tasks.
fn tasks() -> Vec<Handled> {
    vec![
        handled("send_task", tasks::send_task),
        handled("list_tasks", tasks::list_tasks),
        handled("get_task", tasks::get_task),
        handled("cancel_task", tasks::cancel_task),
        handled("pause_task", tasks::pause_task),
        handled("resume_task", tasks::resume_task),
        handled("decide_task", tasks::decide_task),
        handled("put_task_brief", tasks::put_task_brief),
        handled("get_task_journal", tasks::get_task_journal),
        handled("get_task_artifact", tasks::get_task_artifact),
        handled("get_task_log", tasks::get_task_log),
    ]
}

/// Returns the handlers of schedules.
fn schedules() -> Vec<Handled> {
    vec![
        handled("list_schedules", schedules::list_schedules),
        handled("create_schedule", schedules::create_schedule),
        handled("get_schedule", schedules::get_schedule),
        handled("put_schedule", schedules::put_schedule),
        handled("delete_schedule", schedules::delete_schedule),
        handled("pause_schedule", schedules::pause_schedule),
        handled("resume_schedule", schedules::resume_schedule),
        handled("fire_schedule", schedules::fire_schedule),
    ]
}
