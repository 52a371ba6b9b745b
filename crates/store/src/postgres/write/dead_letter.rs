//! Dead letters: added with the event that makes one, discarded on request.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Grown, Operation};
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::lock::run_lock;
use crate::postgres::read;
use crate::postgres::row::{integer, small};
use crate::postgres::text::plain;
use crate::projection::{STEP_EVENTS, StepEvent, died, failing_step};
use crate::{Admission, DeadLetterFate, Discard, Error};

/// [`crate::Store::discard`].
pub(in crate::postgres) struct DiscardDeadLetter(pub(in crate::postgres) Discard);

#[async_trait]
impl Operation for DiscardDeadLetter {
    type Output = ();

    const DOING: &'static str = "discards a dead letter";

    fn locks(&self) -> Vec<String> {
        vec![run_lock(&self.0.run_id)]
    }

    async fn run(&self, db: &Db) -> Result<(), Failure> {
        const SQL: &str = "UPDATE dead_letters SET discarded_at_ms = $2, discarded_by = $3 \
             WHERE run = (SELECT run FROM runs WHERE run_id = $1)";
        let Discard { run_id, by, at } = &self.0;
        match read::dead_letter(db, run_id).await? {
            Some(found) if found.fate == DeadLetterFate::Open => {}
            Some(found) => return Err(Error::Settled { letter: Box::new(found) }.into()),
            None => return Err(Error::NoDeadLetter { run_id: run_id.clone() }.into()),
        }
        let by = by.as_deref().map(plain);
        db.execute(SQL, &[&run_id.as_str(), &at.as_millis(), &by]).await?;
        Ok(())
    }
}

/// Refuses to redrive a settled dead letter, if the admission asks for that. The failed run is
/// locked.
pub(in crate::postgres) async fn check(db: &Db, admission: &Admission) -> Result<(), Failure> {
    let Some(origin) = admission.run.spec.origin_run_id.as_ref().filter(|_| admission.redrives)
    else {
        return Ok(());
    };
    match read::dead_letter(db, origin).await? {
        Some(found) if found.fate == DeadLetterFate::Open => Ok(()),
        Some(found) => Err(Error::Settled { letter: Box::new(found) }.into()),
        None => Err(Error::NoDeadLetter { run_id: origin.clone() }.into()),
    }
}

/// Adds dead letters and runs that repeat one.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let letters = Letters::of(db, grown).await?;
    let repeats = Repeats::of(grown);
    let mut steps = Vec::new();
    if !letters.runs.is_empty() {
        steps.push(letters.step());
    }
    if !repeats.runs.is_empty() {
        steps.push(repeats.step());
    }
    if !steps.is_empty() {
        db.pipeline(&steps).await?;
    }
    Ok(())
}

/// New dead letters, by columns.
#[derive(Default)]
struct Letters {
    runs: Vec<i64>,
    seqs: Vec<i64>,
    at_ms: Vec<i64>,
    attempts: Vec<i32>,
    codes: Vec<String>,
    messages: Vec<String>,
    steps: Vec<Option<String>>,
}

impl Letters {
    async fn of(db: &Db, grown: &[Grown<'_>]) -> Result<Self, Failure> {
        let mut letters = Self::default();
        // Letters whose error names no step: number, last attempt and index in the columns.
        let mut nameless = Vec::new();
        for Grown { number, run, events, .. } in grown {
            let Some(died) = died(run, events) else { continue };
            if died.step.is_none() {
                nameless.push((*number, died.attempts, letters.runs.len()));
            }
            letters.runs.push(*number);
            letters.seqs.push(integer(died.seq));
            letters.at_ms.push(died.at.as_millis());
            letters.attempts.push(small(died.attempts));
            letters.codes.push(plain(died.code).into_owned());
            letters.messages.push(plain(died.message).into_owned());
            letters.steps.push(died.step.map(|step| plain(step).into_owned()));
        }
        if !nameless.is_empty() {
            let runs: Vec<i64> = nameless.iter().map(|(run, _, _)| *run).collect();
            let mut steps = steps(db, &runs).await?;
            for (run, attempt, place) in nameless {
                let found = failing_step(steps.remove(&run).unwrap_or_default(), attempt);
                if let Some(step) = letters.steps.get_mut(place) {
                    *step = found.map(|step| plain(&step).into_owned());
                }
            }
        }
        Ok(letters)
    }

    fn step(&self) -> Step<'_> {
        const SQL: &str = "INSERT INTO dead_letters (run, seq, at_ms, attempts, code, message, \
             step) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], \
             $5::text[], $6::text[], $7::text[]) ON CONFLICT (run) DO UPDATE SET \
             seq = excluded.seq, at_ms = excluded.at_ms, attempts = excluded.attempts, \
             code = excluded.code, message = excluded.message, step = excluded.step, \
             discarded_at_ms = NULL, discarded_by = NULL";
        let Self { runs, seqs, at_ms, attempts, codes, messages, steps } = self;
        Step::Execute(SQL, vec![runs, seqs, at_ms, attempts, codes, messages, steps])
    }
}

/// Returns the last events of steps of runs, the newest first, by the run's number.
async fn steps(db: &Db, runs: &[i64]) -> Result<BTreeMap<i64, Vec<StepEvent>>, Failure> {
    const SQL: &str = "SELECT x.run, e.attempt, e.type, e.data FROM unnest($1::bigint[]) AS x (run), \
         LATERAL (SELECT seq, attempt, type, data FROM events WHERE run = x.run \
         AND type IN ('step.started', 'step.completed', 'step.failed') \
         ORDER BY seq DESC LIMIT $2) e ORDER BY x.run, e.seq DESC";
    let mut found: BTreeMap<i64, Vec<StepEvent>> = BTreeMap::new();
    for row in db.query(SQL, &[&runs, &i64::from(STEP_EVENTS)]).await? {
        let (kind, data): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
        found.entry(row.try_get(0)?).or_default().push(StepEvent {
            attempt: u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0),
            is_completion: kind == "step.completed",
            key: serde_json::from_str::<Keyed>(data).ok().map(|keyed| keyed.key),
        });
    }
    Ok(found)
}

/// Members common to all events of steps.
#[derive(serde::Deserialize)]
struct Keyed {
    key: String,
}

/// Runs that repeat another one, by columns.
#[derive(Default)]
struct Repeats<'a> {
    runs: Vec<&'a str>,
    origins: Vec<&'a str>,
    upto: Vec<Option<i64>>,
    at_ms: Vec<i64>,
}

impl<'a> Repeats<'a> {
    fn of(grown: &[Grown<'a>]) -> Self {
        let mut repeats = Self::default();
        for Grown { run, is_new, .. } in grown {
            let spec = &run.spec;
            let Some(origin) =
                spec.origin_run_id.as_ref().filter(|_| *is_new && spec.replay.is_none())
            else {
                continue;
            };
            repeats.runs.push(run.id.as_str());
            repeats.origins.push(origin.as_str());
            repeats.upto.push(spec.inherits.as_ref().map(|inherits| integer(inherits.upto_seq)));
            repeats.at_ms.push(run.created_at.as_millis());
        }
        repeats
    }

    fn step(&self) -> Step<'_> {
        const SQL: &str = "INSERT INTO repeats (run_id, origin, upto, at_ms) SELECT * FROM \
             unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) \
             ON CONFLICT (run_id) DO UPDATE SET origin = excluded.origin, upto = excluded.upto, \
             at_ms = excluded.at_ms";
        let Self { runs, origins, upto, at_ms } = self;
        Step::Execute(SQL, vec![runs, origins, upto, at_ms])
    }
}
