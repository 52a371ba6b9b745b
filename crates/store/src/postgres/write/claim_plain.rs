//! Claims while no queued run has demands: one round trip to the server, and the commit.
//!
//! The statements are sent together. The first one locks the runs and leaves their numbers in a
//! setting of the transaction, from which the others take them: each of those sees the state that
//! the locks protect.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::RunId;

use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::read;
use crate::postgres::row::{integer, json, number};
use crate::postgres::write::batch::{LockedRun, UNLEASE};
use crate::{Claim, Error, Lease, Stored};

/// Condition for the best runs of one class and rank, without runs that would only wait for their
/// turn in a session: they would occupy a slot.
macro_rules! ready_runs {
    ($class:literal, $rank:literal, $now:literal, $limit:literal) => {
        concat!(
            "FROM queue q LEFT JOIN session_turns t ON t.run = q.run \
             WHERE q.class = ",
            $class,
            " AND q.rank = ",
            $rank,
            " AND q.ready_at_ms <= ",
            $now,
            " AND (t.run IS NULL OR t.has_begun OR NOT t.waits OR NOT EXISTS \
             (SELECT 1 FROM session_turns a WHERE a.session_id = t.session_id \
             AND a.run <> t.run AND (a.has_begun OR a.run < t.run))) \
             ORDER BY q.ready_at_ms, q.run LIMIT ",
            $limit
        )
    };
}
pub(super) use ready_runs;

/// Locks the best runs that no other transaction changes, if no queued run has demands. Returns
/// whether none has, and the numbers of the runs in order.
const PICK: &str = concat!(
    "WITH RECURSIVE plain AS MATERIALIZED \
     (SELECT NOT EXISTS (SELECT 1 FROM queue WHERE class > '') AS is_so), \
     ranks AS ((SELECT q.rank FROM plain, LATERAL (SELECT rank FROM queue WHERE class = '' \
     ORDER BY rank LIMIT 1) q WHERE plain.is_so) \
     UNION ALL SELECT n.rank FROM ranks g, LATERAL (SELECT q.rank FROM queue q \
     WHERE q.class = '' AND q.rank > g.rank ORDER BY q.rank LIMIT 1) n), \
     picked AS MATERIALIZED (SELECT p.run FROM ranks, LATERAL (SELECT q.run ",
    ready_runs!("''", "ranks.rank", "$1", "$2"),
    " FOR UPDATE OF q SKIP LOCKED) p LIMIT $2), \
     placed AS (SELECT run, row_number() OVER () AS place FROM picked), \
     free AS MATERIALIZED (SELECT p.run, p.place FROM placed p JOIN runs r ON r.run = p.run \
     WHERE pg_try_advisory_xact_lock(hashtextextended(r.run_id, 0))), \
     claimed AS (SELECT coalesce(array_agg(run ORDER BY place), '{}') AS runs FROM free) \
     SELECT is_so, runs, set_config('errand.claimed', runs::text, true) FROM plain, claimed"
);

/// Leases the locked runs and takes them out of the queue. Returns the numbers of the leased runs:
/// a run that is over, or under a lease, only leaves the queue.
const GRANT: &str = "WITH gone AS (DELETE FROM queue \
     WHERE run = ANY(current_setting('errand.claimed')::bigint[])) \
     INSERT INTO leases (run, epoch, expires_at_ms, holder, ring, class) \
     SELECT r.run, r.epoch + 1, $1, $2, g.current, r.class \
     FROM unnest(current_setting('errand.claimed')::bigint[]) AS x (run) \
     JOIN runs r ON r.run = x.run JOIN rings g ON g.name = 'leases' \
     WHERE num_nulls(r.ended_at_ms) = 1 \
     AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run = r.run) RETURNING run";

/// Releases reservations under older leases, which are never settled.
const RELEASE: &str = "DELETE FROM reservations \
     WHERE run = ANY(current_setting('errand.claimed')::bigint[])";

/// Query for the events after the stored folds.
const EVENTS: &str = "SELECT e.seq, e.at_ms, e.attempt, e.type, e.data, e.hash, e.run \
     FROM unnest(current_setting('errand.claimed')::bigint[]) AS x (run) \
     JOIN runs r ON r.run = x.run LEFT JOIN states s ON s.run = r.run \
     JOIN events e ON e.run = r.run AND e.seq > coalesce(s.seq, 0) AND e.seq <= r.head_seq \
     ORDER BY e.run, e.seq";

/// Claimed runs.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ClaimedRuns {
    pub(in crate::postgres) runs: Vec<(Stored, Lease)>,
    /// Their states under their leases, as far as they are known.
    pub(in crate::postgres) states: Vec<(RunId, Option<LockedRun>)>,
    /// True if rows left the queue: those of the claimed runs, or of runs that cannot be claimed.
    pub(in crate::postgres) has_changed: bool,
}

/// Claims runs. `None`: queued runs have demands, and none was claimed.
pub(super) async fn claim(db: &Db, claim: &Claim) -> Result<Option<ClaimedRuns>, Failure> {
    let (now, limit) = (claim.now.as_millis(), integer(u64::from(claim.limit)));
    let expires_at = claim.lease_for.map(|length| claim.now.plus(length).as_millis());
    let holder = json(&claim.holder)?;
    let load = format!(
        "SELECT {} WHERE r.run = ANY(current_setting('errand.claimed')::bigint[])",
        read::COLUMNS
    );
    let steps = [
        Step::Query(PICK, vec![&now, &limit]),
        Step::Query(GRANT, vec![&expires_at, &holder]),
        Step::Execute(RELEASE, Vec::new()),
        Step::Query(&load, Vec::new()),
        Step::Query(EVENTS, Vec::new()),
    ];
    let answers = db.pipeline(&steps).await?;
    let [picked, granted, _, runs, events] = answers.as_slice() else {
        return Err(Failure::Unexpected("answers are missing"));
    };
    let Some(picked) = picked.rows.first() else {
        return Err(Failure::Unexpected("an answer has no row"));
    };
    if !picked.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let granted: BTreeSet<i64> =
        granted.rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut loaded = read::fold_rows(db, &runs.rows, &events.rows).await?;
    let folded_to: BTreeMap<i64, Option<i64>> = runs
        .rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(5)?)))
        .collect::<Result<_, Failure>>()?;
    let (mut claimed, mut unreadable) = (ClaimedRuns::default(), Vec::new());
    let picked: Vec<i64> = picked.try_get(1)?;
    claimed.has_changed = !picked.is_empty();
    for run in picked {
        match loaded.remove(&run) {
            Some(Ok(stored)) if granted.contains(&run) => {
                let Some(lease) = stored.lease.clone() else {
                    return Err(Failure::Unexpected("a claimed run has no lease"));
                };
                let state_seq = folded_to.get(&run).copied().flatten().map_or(0, number);
                claimed.states.push((lease.run_id.clone(), Some(state(run, &stored, state_seq))));
                claimed.runs.push((stored, lease));
            }
            // An unreadable run must not block the queue: it is still listed, with its error,
            // and can be removed.
            Some(Ok(_) | Err(Error::Damaged { .. })) | None => unreadable.push(run),
            Some(Err(error)) => return Err(error.into()),
        }
    }
    unreadable.retain(|run| granted.contains(run));
    if !unreadable.is_empty() {
        db.execute(UNLEASE, &[&unreadable]).await?;
    }
    Ok(Some(claimed))
}

/// Returns the state of a claimed run, with the number of events that its stored fold covers.
fn state(run: i64, stored: &Stored, state_seq: u64) -> LockedRun {
    LockedRun {
        run,
        status: stored.run.status.name().to_owned(),
        is_over: false,
        epoch: stored.epoch,
        head: Some(stored.head),
        leased: stored.lease.as_ref().map(|lease| lease.epoch),
        state_seq,
        open_requests: stored.open_requests,
    }
}
