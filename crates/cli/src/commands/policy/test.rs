//! `errand policy test`: decisions that a policy would have made about recorded runs.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::catalog::CatalogSpec;
use errand_api::error_code::ErrorCode;
use errand_engine::operations::RunListQuery;
use errand_engine::policy::ExternalPolicies;
use errand_model::RunId;
use errand_policy::{Policy, PolicyVerdict, RecordedCalls};
use serde_json::{Value, json};

use crate::commands::catalog::source::Sources;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{DayOrAge, day_or_age};
use crate::place::RegistryOrServer;
use crate::render;

use super::listed_tools::ListedTools;

/// Runs read at once.
const PAGE: u32 = 200;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is changed or run. Values that are too long for the journal are seen by their digests.

Examples:
  errand policy test -f policy.yaml --since 7d       the runs of the last week
  errand policy test -f policy.yaml review nightly   these runs")]
pub(crate) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// Runs to look at: those of the last day if none is named
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Only runs that began on this day or later: 2025-03-31, or so long ago, such as 7d
    #[arg(long, value_name = "DAY", value_parser = day_or_age, conflicts_with = "runs")]
    since: Option<DayOrAge>,
    /// Show calls that would have been allowed, too
    #[arg(short, long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A day, for which runs are looked at if nothing else is said.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Decision that a policy would have made.
struct TestedCall {
    run_id: RunId,
    seq: u64,
    hook: &'static str,
    subject: String,
    policy: String,
    verdict: PolicyVerdict,
    reason: Option<String>,
}

/// Prints what the policies would have decided.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let policies = policies(&args, &place).await?;
    let runs = runs(context, &args, &place).await?;
    let external = ExternalPolicies::unlimited(&context.surroundings());
    let (mut found, mut counts, mut calls) = (Vec::new(), BTreeMap::new(), 0_u64);
    let mut tools = ListedTools::default();
    for run_id in &runs {
        let mut recorded = RecordedCalls::new();
        for event in super::journal(&place, run_id).await? {
            tools.add(&place, run_id, &event).await?;
            for call in recorded.next(&event) {
                let deciding = || policies.iter().filter(|policy| policy.decides_at(call.hook));
                calls += u64::from(deciding().next().is_some());
                for policy in deciding() {
                    let decided = external.decide(policy, &call).await;
                    *counts.entry(decided.verdict).or_insert(0_u64) += 1;
                    if args.all || decided.verdict != PolicyVerdict::Allow {
                        found.push(TestedCall {
                            run_id: run_id.clone(),
                            seq: event.seq,
                            hook: call.hook.as_str(),
                            subject: call.names.first().cloned().unwrap_or_default(),
                            policy: policy.name().to_owned(),
                            verdict: decided.verdict,
                            reason: decided.reason,
                        });
                    }
                }
            }
        }
    }
    let count = |verdict| counts.get(&verdict).copied().unwrap_or(0);
    let (denied, asked) = (count(PolicyVerdict::Deny), count(PolicyVerdict::Ask));
    let (changed, allowed) = (count(PolicyVerdict::Modify), count(PolicyVerdict::Allow));
    if args.json {
        context.printer.json(&json!({
            "schema": 1, "runs": runs.len(), "calls": calls,
            "verdicts": { "deny": denied, "ask": asked, "modify": changed, "allow": allowed },
            "decisions": found.iter().map(entry).collect::<Vec<_>>(),
            "idle_rules": tools.idle(&policies).iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
        return Ok(0);
    }
    if !found.is_empty() {
        context.printer.line(&table(&found))?;
    }
    for rule in tools.idle(&policies) {
        context.printer.note(&rule.to_string());
    }
    let plural = |count| if count == 1 { "" } else { "s" };
    let (runs, of_runs, of_calls) = (runs.len(), plural(runs.len() as u64), plural(calls));
    context.printer.line(&format!(
        "{runs} run{of_runs}, {calls} call{of_calls}: {denied} denied, {asked} asked about, {changed} changed, {allowed} allowed"
    ))?;
    Ok(0)
}

/// Returns the policies of the manifests.
async fn policies(args: &Args, place: &RegistryOrServer) -> Result<Vec<Policy>, Failure> {
    let mut policies = Vec::new();
    for manifest in args.sources.read(Some(place)).await? {
        let CatalogSpec::Policy(definition) = &manifest.spec else { continue };
        let name = &manifest.metadata.name;
        let compiled = Policy::compile(name, None, definition).map_err(|invalid| {
            let line = invalid.line.map(|line| format!(" at its line {line}")).unwrap_or_default();
            let message =
                format!("the program of the policy {name:?} is not valid{line}: {invalid}");
            Failure::new(ErrorCode::PolicyInvalid, message)
        })?;
        policies.push(compiled);
    }
    if policies.is_empty() {
        return Err(Failure::new(
            ErrorCode::ManifestInvalid,
            "there is no manifest of the kind Policy",
        )
        .hint("name a file with a policy: -f policy.yaml"));
    }
    Ok(policies)
}

/// Returns the runs to look at, the newest first.
async fn runs(
    context: &Context,
    args: &Args,
    place: &RegistryOrServer,
) -> Result<Vec<RunId>, Failure> {
    if !args.runs.is_empty() {
        return place.resolve_all(context, &args.runs).await;
    }
    let since = args.since.unwrap_or(DayOrAge::Ago(DAY));
    let since = Some(since.since(errand_agent::SystemClock.now()));
    let query = RunListQuery {
        filter: errand_store::Filter::default(),
        with_children: true,
        since,
        after: None,
        limit: PAGE,
    };
    let found = place.all_runs(query, None).await?;
    Ok(found.runs.into_iter().map(|record| record.run_id).collect())
}

fn entry(tested: &TestedCall) -> Value {
    json!({
        "run_id": tested.run_id, "seq": tested.seq, "hook": tested.hook,
        "subject": tested.subject, "policy": tested.policy,
        "verdict": tested.verdict.as_str(), "reason": tested.reason,
    })
}

fn table(found: &[TestedCall]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["RUN", "SEQ", "HOOK", "CALL", "POLICY", "VERDICT", "REASON"]);
    for tested in found {
        table.add_row([
            tested.run_id.to_string(),
            tested.seq.to_string(),
            tested.hook.to_owned(),
            render::one_line(&tested.subject),
            render::one_line(&tested.policy),
            tested.verdict.as_str().to_owned(),
            render::one_line(tested.reason.as_deref().unwrap_or("-")),
        ]);
    }
    render::lines(&mut table)
}
