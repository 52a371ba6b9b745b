//! Long journals: appends, resumes, verification.

use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_model::event::{EventBody, OutputDelta, StepCompleted, StepStarted};
use errand_model::run::{AttemptOutcome, AttemptUp, Command, EndAttempt, Run, StartAttempt};
use errand_model::{EventContext, Head, Payload, RunId};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Append, Fence, Registry, Store};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};
use crate::{Failure, history};

/// Lengths of a short and a long journal.
const SHORT: u64 = 10;
const LONG: u64 = 100_000;
/// Timed appends at each length.
const APPENDS: u32 = 200;
/// Allowed ratio of the costs of an append to the long and to the short one.
const MOST_GROWTH: f64 = 1.2;
/// Events of the verified journal, and the target rate.
const VERIFIED: u64 = 1_000_000;
const VERIFIED_PER_SECOND: f64 = 300_000.0;
/// Events in one commit while a journal is made.
const BATCH: u64 = 2_000;
/// Time from the end of the first attempt to the first new step of the second.
const RESUME_SECONDS: f64 = 0.2;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    Ok(vec![append(arguments)?, resume(arguments)?, verify(arguments)?])
}

/// A writer of a run's journal.
struct Writer {
    store: Arc<dyn Store>,
    run: Run,
    head: Head,
    epoch: u64,
}

impl Writer {
    async fn begin(store: Arc<dyn Store>, number: u64) -> Result<Self, Failure> {
        let mut admission = history::admission(number, history::now());
        admission.queued = None;
        let (run, head) = (admission.run.clone(), admission.head);
        let (_, lease) = store.admit_held(admission, history::holder()).await?;
        let epoch = lease.ok_or("no lease")?.epoch;
        let mut writer = Self { store, run, head, epoch };
        let holder = history::holder();
        let start =
            StartAttempt { epoch, supervisor: holder.process, host: holder.host, worker: None };
        let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
        for command in [Command::from(start), Command::from(up)] {
            let events = writer.run.decide(&command, history::now())?.events;
            writer.append(&events).await?;
        }
        Ok(writer)
    }

    async fn append(&mut self, bodies: &[EventBody]) -> Result<(), Failure> {
        let at = history::now();
        let mut events = Vec::with_capacity(bodies.len());
        for body in bodies {
            self.run.apply(EventContext { at, attempt: 1 }, body)?;
            events.push(self.head.seal(&self.run.id, at, 1, body));
        }
        let append = Append {
            run: self.run.clone(),
            head: self.head,
            events,
            steps: Vec::new(),
            fence: Fence { epoch: self.epoch },
            snapshot: false,
            release: false,
            requeue: None,
            answered: Vec::new(),
            documents: Vec::new(),
        };
        self.store.append(append).await?;
        Ok(())
    }

    /// Appends steps until the journal has so many events.
    async fn grow(&mut self, length: u64) -> Result<(), Failure> {
        while self.head.seq < length {
            let mut bodies = Vec::new();
            while self.head.seq + u64::try_from(bodies.len())? < length
                && u64::try_from(bodies.len())? < BATCH
            {
                let number = self.head.seq + u64::try_from(bodies.len())?;
                bodies.extend(step(number));
            }
            self.append(&bodies).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let usage = errand_model::event::ProcessUsage::default();
        let outcome = AttemptOutcome::Exited { output: None };
        let end =
            EndAttempt { task: None, attempt: 1, outcome, exit_code: Some(0), signal: None, usage };
        let events = self.run.decide(&end.into(), history::now())?.events;
        self.append(&events).await
    }
}

fn step(number: u64) -> [EventBody; 2] {
    let key = format!("step-{number}");
    let started = StepStarted {
        key: key.clone(),
        kind: Some("command".to_owned()),
        fingerprint: None,
        detail: None,
        run_id: None,
        allowance: std::collections::BTreeMap::new(),
    };
    let output = Some(Payload::Text("the answer of a step, such as it is".to_owned()));
    let duration = Duration::from_millis(7);
    let completed =
        StepCompleted { key, output, stderr: None, duration, usage: None, digest: None };
    [EventBody::StepStarted(started), EventBody::StepCompleted(completed)]
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn append(arguments: &Arguments) -> Result<Line, Failure> {
    let lab = Lab::new(arguments)?;
    let store: Arc<dyn Store> =
        Arc::new(Sqlite::open(&Registry::at(lab.registry()), Options::CREATE)?);
    let (short, long) = runtime()?.block_on(async {
        let mut short = Writer::begin(Arc::clone(&store), 1).await?;
        short.grow(SHORT).await?;
        let mut long = Writer::begin(store, 2).await?;
        long.grow(LONG).await?;
        // Alternating, so that both lengths see the same disk. Too few appends to make the short
        // journal long.
        let (mut shorts, mut longs) = (Vec::new(), Vec::new());
        for round in 0..APPENDS {
            let delta =
                [EventBody::OutputDelta(OutputDelta { text: round.to_string(), offset: None })];
            for (writer, taken) in [(&mut short, &mut shorts), (&mut long, &mut longs)] {
                let started = Instant::now();
                writer.append(&delta).await?;
                taken.push(started.elapsed().as_secs_f64());
            }
        }
        Ok::<_, Failure>((median(shorts), median(longs)))
    })?;
    let growth = long / short;
    Ok(Line {
        name: "an append to 100,000 events".to_owned(),
        measured: milliseconds(long),
        target: format!("{MOST_GROWTH} times that to 10"),
        floor: format!("to 10 events {}", milliseconds(short)),
        share: Some(growth / MOST_GROWTH),
        note: String::new(),
    })
}

/// Measures the resume of an agent that did ten thousand steps, saved 1 MiB and failed.
fn resume(arguments: &Arguments) -> Result<Line, Failure> {
    let mut taken = Vec::new();
    for _ in 0..arguments.rounds.min(3) {
        let lab = Lab::new(arguments)?;
        let program = std::env::current_exe()?.display().to_string();
        let command = format!("[{program:?}, {}, resume]", crate::step_agent::MODE);
        let policy = "  retry_policy: { max_retries: 1, backoff: none }\n";
        let agent = lab.agent("resume", &command, policy)?.to_string_lossy().into_owned();
        let run_id = lab.output(&["run", "-d", &agent])?;
        lab.wait(&run_id)?;
        let record = lab.record(&run_id)?;
        if record["status"] != "completed" {
            return Err(format!("the agent failed: {}", record["last_error"]).into());
        }
        let ended = record["attempts"][0]["stopped_at_ms"].as_f64().ok_or("no first end")?;
        let events = lab.output(&["events", &run_id, "--json"])?;
        let last = events.lines().find(|line| line.contains("\"the-new-one\""));
        let event: Value = serde_json::from_str(last.ok_or("no new step")?)?;
        let begun = event["at_ms"].as_f64().ok_or("no time")?;
        taken.push((begun - ended) / 1e3);
    }
    let seconds = median(taken);
    Ok(Line {
        name: "resume 10,000 steps, 1 MiB".to_owned(),
        measured: milliseconds(seconds),
        target: milliseconds(RESUME_SECONDS),
        floor: String::new(),
        share: Some(seconds / RESUME_SECONDS),
        note: "from the end of an attempt to the next one's first new step".to_owned(),
    })
}

fn verify(arguments: &Arguments) -> Result<Line, Failure> {
    let lab = Lab::new(arguments)?;
    let run_id: RunId = runtime()?.block_on(async {
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&Registry::at(lab.registry()), Options::CREATE)?);
        let mut writer = Writer::begin(store, 1).await?;
        writer.grow(VERIFIED - 2).await?;
        writer.end().await?;
        Ok::<_, Failure>(writer.run.id.clone())
    })?;
    let mut rates = Vec::new();
    for _ in 0..arguments.rounds.min(3) {
        let seconds = lab.time(&["verify", run_id.as_str()])?.as_secs_f64();
        rates.push(1e6 / seconds);
    }
    let rate = median(rates);
    Ok(Line {
        name: "verify a million events".to_owned(),
        measured: format!("{rate:.0}/s"),
        target: format!("{VERIFIED_PER_SECOND:.0}/s"),
        floor: String::new(),
        share: Some(VERIFIED_PER_SECOND / rate),
        note: "in the registry and in the file".to_owned(),
    })
}
