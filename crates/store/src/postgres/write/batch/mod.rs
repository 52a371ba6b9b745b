//! Changes of many runs' journals in one transaction.
//!
//! Two round trips to the server: begin, lock and read the rows that the locks protect; write
//! everything, table by table, and commit. Projections that read rows need more, appends to runs in
//! an expected state and most admissions only one (`expected.rs`). A refused change writes nothing and does not affect
//! the others. No two changes of one batch need the same lock, so they are independent.

mod admit;
mod append;
mod current;
mod expected;
mod gathered;
mod lease;
mod plan;
mod write;

pub(in crate::postgres) use admit::check as check_admitted;
pub(in crate::postgres) use expected::{ExpectedRuns, attempt_expected};
pub(in crate::postgres) use gathered::{Done, Gathered, Outcome};
pub(in crate::postgres) use plan::{Leases, Names, Plan};
pub(in crate::postgres) use write::{NAMES, UNLEASE, UNQUEUE, UNRESERVE, insert};

use current::BatchAnswer;
pub(in crate::postgres) use current::{Afterwards, LockedRun};

use crate::StoreChange;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::{Failure, FailureRemedy};
use crate::postgres::lock::LOCK;
use crate::postgres::mark::{MARK, Mark};

/// Result of a try.
pub(in crate::postgres) enum BatchTry {
    /// The results, and what is known for later changes.
    Committed(Vec<Outcome>, Afterwards),
    /// The transaction was rolled back.
    Failed(Failure),
    /// The connection broke during the commit: its mark, and the results if it was committed.
    Unknown(Mark, Vec<Outcome>),
}

/// Result of one change, and the changes to announce.
pub(in crate::postgres) type Decided = (Done, Vec<StoreChange>);

/// Commits all changes that are not refused, in one transaction.
pub(in crate::postgres) async fn attempt(db: &Db, jobs: &[Gathered]) -> BatchTry {
    let begun = begin(db, jobs).await;
    let (mark, known) = match begun {
        Ok(begun) => begun,
        Err(failure) => return undo(db, failure).await,
    };
    let mut plan = Plan::default();
    let outcomes = match decide(db, jobs, &known, &mut plan).await {
        Ok(outcomes) => outcomes,
        Err(failure) => return undo(db, failure).await,
    };
    match write::commit(db, &plan).await {
        Ok(()) => BatchTry::Committed(outcomes, plan.after),
        Err(failure) if failure.remedy() == FailureRemedy::Reconnect => {
            BatchTry::Unknown(mark, outcomes)
        }
        Err(failure) => undo(db, failure).await,
    }
}

/// Rolls the transaction back, so that the connection can be used again.
async fn undo(db: &Db, failure: Failure) -> BatchTry {
    match db.batch("ROLLBACK").await {
        Ok(()) => BatchTry::Failed(failure),
        Err(lost) if failure.remedy() == FailureRemedy::Again => BatchTry::Failed(lost),
        Err(_) => BatchTry::Failed(failure),
    }
}

/// Returns the names of all locks that changes need, in order.
fn lock_names(jobs: &[Gathered]) -> Vec<String> {
    let mut names: Vec<String> = jobs.iter().flat_map(Gathered::locks).collect();
    names.sort();
    names.dedup();
    names
}

/// Begins the transaction, takes the locks and reads the rows that they protect.
async fn begin(db: &Db, jobs: &[Gathered]) -> Result<(Mark, BatchAnswer), Failure> {
    let names = lock_names(jobs);
    let drawn = Mark::draw()?;
    let wanted = current::BatchQuery::of(jobs);
    let mut steps = vec![
        Step::Plain("BEGIN"),
        Step::Query(MARK, vec![&drawn]),
        Step::Query(LOCK, vec![&names]),
    ];
    let fixed = steps.len();
    steps.extend(wanted.steps());
    let mut answers = db.pipeline(&steps).await?;
    let found = answers.split_off(fixed);
    let mark = Mark::read(drawn, answers.get(1))?;
    Ok((mark, wanted.read(found)?))
}

async fn decide<'a>(
    db: &Db,
    jobs: &'a [Gathered],
    known: &BatchAnswer,
    plan: &mut Plan<'a>,
) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    let mut numbers = known.numbers();
    for job in jobs {
        let decided = match job {
            Gathered::Admit { admission, holder, .. } => {
                admit::admit(db, known, &mut numbers, plan, (admission, holder.as_ref())).await
            }
            Gathered::Append { append, .. } => append::append(db, known, plan, append).await,
            Gathered::AppendAtRest { append, .. } => append::append_at_rest(known, plan, append),
            Gathered::AppendAndAdmit { parent, child, holder, .. } => {
                let family = append::Family { parent, child, holder };
                append::append_and_admit(db, known, &mut numbers, plan, family).await
            }
            Gathered::AppendAndAdmitAll { parent, children, .. } => {
                let family = (parent.as_ref(), children.as_slice());
                append::append_and_admit_all(db, known, &mut numbers, plan, family).await
            }
            Gathered::Take { run_id, seen_epoch, holder, expires_at, .. } => {
                let seen = (run_id, *seen_epoch);
                lease::take(known, plan, seen, holder, *expires_at)
            }
            Gathered::GiveBack { run_id, epoch, .. } => {
                lease::give_back(known, plan, run_id, *epoch)
            }
            Gathered::Ask { run_id, command, now, .. } => {
                lease::ask(known, &mut numbers, plan, (run_id, command, *now))
            }
        };
        outcomes.push(match decided {
            Ok((done, changes)) => Outcome { done: Ok(done), changes },
            Err(Failure::Refused(error)) => Outcome { done: Err(error), changes: Vec::new() },
            Err(failure) => return Err(failure),
        });
    }
    plan.after.numbers = numbers.spare();
    Ok(outcomes)
}
