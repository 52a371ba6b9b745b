//! `errand registry`: check, repair and rebuild of a registry, its disk usage and garbage
//! collection.

mod du;
mod gc;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use errand_agent::Clock as _;
use errand_engine::garbage::{GRACE, unnamed};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{CheckReport, Registry, Repair, check, rebuild};

use crate::context::Context;
use crate::failure::Failure;
use crate::trusted::{TrustedFolders, real};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the registry anew from the files of its runs; the old one is kept beside it
    Rebuild {
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check settings, journals, and the files beside the registry
    Check {
        /// Add events that are missing in the files beside the registry; files that have other
        /// events than it are put aside (.events.jsonl.damaged) and written anew
        #[arg(long)]
        repair: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Use the registry of a folder as if it were yours, although other users can write it
    ///
    /// Runs in it are executed as you. Without a folder: list the folders that you trust.
    Trust {
        /// The folder that holds `.errand`
        folder: Option<PathBuf>,
        /// Trust it no longer
        #[arg(long, requires = "folder")]
        remove: bool,
    },
    /// Free blobs, packed agents and logs that nothing names any more
    Gc(gc::Args),
    /// Show what takes the space: by kind, and the largest runs and agents
    Du(du::Args),
}

/// Executes a subcommand. Exit code 1 if a problem is left that was not repaired.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Trust { folder, remove } => trust(context, folder.as_deref(), *remove),
        Command::Gc(args) => gc::run(context, args).await,
        Command::Du(args) => du::run(context, args).await,
        Command::Rebuild { json } => restore(context, *json),
        Command::Check { repair, json } => {
            let repair = if *repair { Repair::Files } else { Repair::Nothing };
            check_all(context, repair, *json).await
        }
    }
}

fn found(context: &Context) -> Result<Registry, Failure> {
    context.check_own()?;
    context.registry().ok_or_else(|| {
        let path = context.registry_or_place().root().to_owned();
        Failure::from(errand_store::Error::Missing { path })
    })
}

fn restore(context: &Context, json: bool) -> Result<u8, Failure> {
    let registry = found(context)?;
    complete_files(&registry)?;
    let report = rebuild(&registry, errand_agent::SystemClock.now())?;
    if let Some(reason) = &report.definitions_lost {
        context.printer.note(&format!(
            "warning: keys, agents, schedules, hooks, callbacks and the audit log are in no \
             file, and may be lost ({reason})\nhint: look at them before `errand up`: a \
             server without keys is open"
        ));
    }
    show(context, &report, "restored", json)
}

async fn check_all(context: &Context, repair: Repair, json: bool) -> Result<u8, Failure> {
    let registry = found(context)?;
    let store = Sqlite::open(&registry, Options::EXISTING)?;
    if !json {
        let pragmas = store.pragmas()?;
        let synced = if pragmas.is_synchronous { "every commit synced" } else { "NOT synced" };
        context.printer.note(&format!(
            "{}: schema {}, {}, {synced}, {} pages of {} bytes",
            registry.database().display(),
            pragmas.schema,
            pragmas.journal_mode,
            pragmas.pages,
            pragmas.page_size_bytes,
        ));
    }
    let hint = match repair {
        Repair::Nothing => {
            "`errand registry check --repair` mends files from a registry that is sound; \
             `errand registry rebuild` makes a registry from files that are"
        }
        Repair::Files => "check again: what is still told could not be mended from here",
    };
    let report = check(&registry, &store, repair)?;
    let code = show(context, &report, "checked", json)?;
    if code != 0 && !json {
        context.printer.note(&format!("hint: {hint}"));
    }
    // Garbage is no problem, and an error that prevents the search for it was reported above.
    if !json
        && let Ok(garbage) = unnamed(&context.engine()?, GRACE).await
        && garbage.bytes > 0
    {
        let bytes = crate::render::size(garbage.bytes);
        let what = format!("hint: `errand registry gc` frees {bytes} that nothing names");
        context.printer.note(&what);
    }
    Ok(code)
}

/// Completes the files from a database that can still be read. The database of a newer errand is
/// left alone.
fn complete_files(registry: &Registry) -> Result<(), Failure> {
    match Sqlite::open(registry, Options::EXISTING) {
        Ok(store) => {
            // The rebuild reports problems that are left.
            drop(check(registry, &store, Repair::Files));
            Ok(())
        }
        Err(error @ errand_store::Error::Newer { .. }) => Err(error.into()),
        Err(_) => Ok(()),
    }
}

fn show(context: &Context, report: &CheckReport, verb: &str, json: bool) -> Result<u8, Failure> {
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let mended: Vec<String> = report.mended.iter().map(ToString::to_string).collect();
    if json {
        context.printer.json(&serde_json::json!({
            "schema": 1, "runs": report.runs, "sessions": report.sessions,
            "definitions": report.definitions, "definitions_lost": report.definitions_lost,
            "problems": problems, "mended": mended,
        }))?;
    } else {
        for problem in &mended {
            context.printer.line(&format!("mended: {problem}"))?;
        }
        for problem in &problems {
            context.printer.line(&format!("problem: {problem}"))?;
        }
        let found = if problems.is_empty() {
            "all is well".to_owned()
        } else {
            counted(problems.len(), "problem")
        };
        let found = match mended.len() {
            0 => found,
            count => format!("{} mended, {found}", counted(count, "problem")),
        };
        context.printer.line(&format!("{} runs {verb}, {found}", report.runs))?;
    }
    Ok(u8::from(!problems.is_empty()))
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Adds or removes a trusted folder, or lists all.
fn trust(context: &Context, folder: Option<&Path>, remove: bool) -> Result<u8, Failure> {
    let file = context.trusted_file();
    let mut trusted = TrustedFolders::read(&file)?;
    let Some(folder) = folder else {
        for folder in trusted.folders() {
            context.printer.line(&folder.display().to_string())?;
        }
        return Ok(0);
    };
    let named = context.cwd.join(folder);
    let folder = if folder.as_os_str() == "*" { folder.to_owned() } else { real(&named) };
    let is_changed = if remove { trusted.remove(&folder) } else { trusted.add(folder.clone()) };
    if is_changed {
        trusted.write(&file)?;
    } else if remove {
        context.printer.note(&format!("{} was not trusted", folder.display()));
    }
    Ok(0)
}
