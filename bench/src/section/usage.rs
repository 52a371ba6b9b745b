//! Sums over a registry with very many runs.

use std::sync::Arc;
use std::time::Duration;

use errand_model::event::{EventBody, Reported};
use errand_model::run::{
    AttemptOutcome, AttemptReport, AttemptUp, Command, EndAttempt, StartAttempt,
};
use errand_model::{EventContext, Timestamp};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Admission, Registry, Store};
use serde_json::json;
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::floor::median_of;
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};
use crate::{Failure, history};

/// Runs in the registry, each with four model calls and a tool call.
const RUNS: u32 = 100_000;
/// Runs that are written at once.
const AT_ONCE: u32 = 256;
/// Repetitions in one round.
const TIMES: usize = 3;
/// Allowed time.
const ALLOWED: Duration = Duration::from_secs(1);

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let registry = Registry::at(lab.registry());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&registry, Options::CREATE)?);
    runtime.block_on(fill(&store))?;
    drop(store);
    let mut lines = Vec::new();
    for by in ["agent", "model", "day", "run", "session", "step", "tool", "label=team"] {
        let words = ["usage", "--by", by, "--json"];
        let mut taken = Vec::new();
        for _ in 0..arguments.rounds.min(3) {
            taken.push(median_of(TIMES, || lab.time(&words).map(drop))?.as_secs_f64());
        }
        let taken = median(taken);
        lines.push(Line {
            name: format!("usage --by {by}, {RUNS} runs"),
            measured: milliseconds(taken),
            target: "1 s".to_owned(),
            floor: String::new(),
            share: Some(taken / ALLOWED.as_secs_f64()),
            note: String::new(),
        });
    }
    Ok(lines)
}

async fn fill(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let now = history::now();
    let mut number = 0;
    while number < RUNS {
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE.min(RUNS - number) {
            let admission = worked(number, now)?;
            let store = Arc::clone(store);
            tasks.spawn(async move { store.admit(admission).await });
            number += 1;
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
    }
    Ok(())
}

/// Returns a terminal run of one of fifty agents, on one of thirty days.
fn worked(number: u32, now: Timestamp) -> Result<Admission, Failure> {
    const DAY_MS: i64 = 86_400_000;
    let at = Timestamp::from_millis(now.as_millis() - i64::from(number % 30) * DAY_MS);
    let mut admission = history::admission_with(number.into(), at, |spec| {
        spec.agent.name = format!("agent-{}", number % 50);
        spec.labels.insert("team".to_owned(), format!("team-{}", number % 7));
        spec.session_id = Some(format!("session-{}", number % 1_000));
    });
    let (mut run, mut head) = (admission.run.clone(), admission.head);
    let mut reports = Vec::new();
    for call in 0..4_u32 {
        let data = json!({
            "provider": "openai", "model": format!("model-{}", (number + call) % 5),
            "input_tokens": 100 + call, "output_tokens": 10, "cost_micro_usd": 36,
            "step": format!("step-{call}"),
        });
        reports.push(EventBody::Reported(Reported::new("model.called", data)?));
    }
    let data = json!({ "name": format!("tool-{}", number % 9), "step": "act" });
    reports.push(EventBody::Reported(Reported::new("tool.called", data)?));
    let nobody = history::holder().process;
    let commands = [
        Command::from(StartAttempt {
            epoch: 1,
            supervisor: nobody,
            host: "bench".to_owned(),
            worker: None,
        }),
        Command::from(AttemptUp {
            attempt: 1,
            locator: None,
            memory_enforced_by: None,
            setup: None,
        }),
        Command::from(AttemptReport { attempt: 1, events: reports }),
        Command::from(EndAttempt {
            task: None,
            attempt: 1,
            outcome: AttemptOutcome::Exited { output: None },
            exit_code: Some(0),
            signal: None,
            usage: errand_model::event::ProcessUsage::default(),
        }),
    ];
    for command in commands {
        for body in run.decide(&command, at)?.events {
            run.apply(EventContext { at, attempt: 1 }, &body)?;
            admission.events.push(head.seal(&run.id, at, 1, &body));
        }
    }
    admission.queued = None;
    Ok(Admission { run, head, ..admission })
}
