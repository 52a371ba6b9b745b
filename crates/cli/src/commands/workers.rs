//! `errand workers`: list of workers and their runs.

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::worker::{Worker, Workers};
use errand_engine::workers;
use serde_json::json;

use crate::config::{Configuration, WorkerFlags};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render::one_line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

/// Lists workers of the server, or of the local registry.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let found = match context.remote()? {
        Some(remote) => remote.workers().await?,
        None => of_registry(context).await?,
    };
    if args.json {
        let Workers { schema, workers } = found;
        context.printer.json(&json!({ "schema": schema, "workers": workers }))?;
    } else {
        context.printer.line(&table(&found.workers))?;
    }
    Ok(0)
}

async fn of_registry(context: &Context) -> Result<Workers, Failure> {
    let settings = Configuration::load(context, &WorkerFlags::default())?.settings()?;
    let engine = match settings.database {
        Some(_) => context.engine_for_server(&settings),
        None => context.engine(),
    };
    match engine {
        Ok(engine) => Ok(Workers::of(workers::list(&engine).await?)),
        // Without a registry there are no workers: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
            Ok(Workers::of(Vec::new()))
        }
        Err(failure) => Err(failure),
    }
}

fn table(workers: &[Worker]) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["WORKER", "HOST", "PID", "BUSY", "STATE", "SINCE", "LABELS"]);
    for worker in workers {
        let labels = worker.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let labels: Vec<_> = labels.collect();
        table.add_row([
            one_line(&worker.name),
            worker.host.clone(),
            worker.pid.to_string(),
            format!("{}/{}", worker.busy, worker.slots),
            if worker.draining { "draining" } else { "working" }.to_owned(),
            relative(worker.since_ms, now),
            one_line(&labels.join(",")),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
