//! Rows that a transaction writes, column by column: each table takes all its rows at once.

use errand_model::event::Event;
use errand_model::run::Run;

use super::current::{Afterwards, LockedRun};
use crate::document::DocumentWrite;
use crate::names::names_in;
use crate::postgres::db::{Step, Value};
use crate::postgres::failure::Failure;
use crate::postgres::read::kind_name;
use crate::postgres::row::{damaged, fingerprint, integer, json, small};
use crate::postgres::text::{indexed, labels};
use crate::postgres::write::Grown;
use crate::stored_fold::is_behind;
use crate::{Admission, Append, Appended, Lease, Pending};

/// Inserts leases.
pub(super) const LEASES: &str = "INSERT INTO leases \
     (run, epoch, expires_at_ms, holder, ring, class) \
     SELECT x.run, x.epoch, x.expires_at_ms, x.holder, g.current, r.class \
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) \
     AS x (run, epoch, expires_at_ms, holder) \
     JOIN runs r ON r.run = x.run JOIN rings g ON g.name = 'leases'";

/// Length of a journal from which on a fold is stored, if one is requested or the run is over: the
/// fold of a shorter journal would only repeat it.
const FOLD_FROM: u64 = 24;

/// The one status in which a run may be in the queue.
const PENDING: &str = "pending";

/// All rows that are written.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Plan<'a> {
    pub(super) runs: Runs,
    pub(super) events: Events<'a>,
    pub(super) heads: Heads,
    pub(super) queue: Queue,
    /// Runs that are removed from the queue.
    pub(super) unqueued: Vec<i64>,
    pub(super) leases: Leases,
    /// Runs whose lease ends or is replaced.
    pub(super) unleased: Vec<i64>,
    /// Leases that end without events: the runs, and the leases' numbers, which become their last
    /// ones.
    pub(super) given_back: (Vec<i64>, Vec<i64>),
    /// Runs whose reservations are released.
    pub(super) unreserved: Vec<i64>,
    pub(super) states: States,
    pub(super) names: Names,
    pub(super) requests: Requests,
    /// Answered requests: their ids and runs.
    pub(super) answered: (Vec<i64>, Vec<i64>),
    /// Runs whose requests are dropped.
    pub(super) unasked: Vec<i64>,
    pub(super) documents: Vec<DocumentWrite>,
    pub(super) grown: Vec<Grown<'a>>,
    /// Knowledge for later changes, once it is committed.
    pub(super) after: Afterwards,
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) run: Vec<i64>,
    pub(super) run_id: Vec<String>,
    pub(super) kind: Vec<&'static str>,
    pub(super) agent: Vec<String>,
    pub(super) name: Vec<Option<String>>,
    pub(super) labels: Vec<Option<String>>,
    pub(super) session_id: Vec<Option<String>>,
    pub(super) parent_run_id: Vec<Option<String>>,
    pub(super) idempotency_key: Vec<Option<String>>,
    pub(super) fingerprint: Vec<Vec<u8>>,
    pub(super) fingerprint_key: Vec<i64>,
    pub(super) status: Vec<String>,
    pub(super) epoch: Vec<i64>,
    pub(super) head_seq: Vec<i64>,
    pub(super) head_hash: Vec<Vec<u8>>,
    pub(super) namespace: Vec<Option<String>>,
    pub(super) class: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Events<'a> {
    pub(super) run: Vec<i64>,
    pub(super) seq: Vec<i64>,
    pub(super) at_ms: Vec<i64>,
    pub(super) attempt: Vec<i32>,
    pub(super) kind: Vec<&'a str>,
    pub(super) data: Vec<&'a str>,
    pub(super) hash: Vec<&'a [u8]>,
}

/// Changes of existing runs, with the previous ends of their journals.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) run: Vec<i64>,
    pub(super) seen_seq: Vec<i64>,
    pub(super) head_seq: Vec<i64>,
    pub(super) head_hash: Vec<Vec<u8>>,
    pub(super) epoch: Vec<i64>,
    pub(super) status: Vec<String>,
    pub(super) ended_at_ms: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) run: Vec<i64>,
    pub(super) rank: Vec<i32>,
    pub(super) ready_at_ms: Vec<i64>,
}

#[derive(Debug, Default)]
pub(in crate::postgres) struct Leases {
    pub(super) run: Vec<i64>,
    pub(super) epoch: Vec<i64>,
    pub(super) expires_at_ms: Vec<Option<i64>>,
    pub(super) holder: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct States {
    pub(super) run: Vec<i64>,
    pub(super) seq: Vec<i64>,
    pub(super) state: Vec<String>,
}

/// The blobs and parcels that the events name.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Names {
    pub(in crate::postgres) run: Vec<i64>,
    pub(in crate::postgres) digest: Vec<Vec<u8>>,
    pub(in crate::postgres) is_parcel: Vec<bool>,
}

impl Names {
    /// Adds the names in an event of a run.
    pub(in crate::postgres) fn put(&mut self, run: i64, kind: &str, data: &str) {
        for name in names_in(kind, data) {
            self.run.push(run);
            self.digest.push(fingerprint(&name.digest).0.to_vec());
            self.is_parcel.push(name.is_parcel);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) id: Vec<i64>,
    pub(super) run: Vec<i64>,
    pub(super) at_ms: Vec<i64>,
    pub(super) kind: Vec<String>,
}

impl Queue {
    pub(super) fn put(&mut self, run: i64, pending: &Pending) {
        self.run.push(run);
        // The bitwise complement: the highest priority sorts first, and every value has a
        // complement.
        self.rank.push(!pending.priority);
        self.ready_at_ms.push(pending.ready_at.as_millis());
    }
}

impl Leases {
    pub(in crate::postgres) fn put(&mut self, run: i64, lease: &Lease) -> Result<(), Failure> {
        self.run.push(run);
        self.epoch.push(integer(lease.epoch));
        self.expires_at_ms.push(lease.expires_at.map(errand_model::Timestamp::as_millis));
        self.holder.push(json(&lease.holder)?);
        Ok(())
    }

    /// Returns the statement that writes them.
    pub(in crate::postgres) fn step(&self) -> Step<'_> {
        let values: Vec<Value<'_>> =
            vec![&self.run, &self.epoch, &self.expires_at_ms, &self.holder];
        Step::Execute(LEASES, values)
    }
}

impl Requests {
    pub(super) fn put(&mut self, id: i64, run: i64, at_ms: i64, kind: String) {
        self.id.push(id);
        self.run.push(run);
        self.at_ms.push(at_ms);
        self.kind.push(kind);
    }
}

impl<'a> Events<'a> {
    fn put(&mut self, run: i64, event: &'a Event) {
        self.run.push(run);
        self.seq.push(integer(event.seq));
        self.at_ms.push(event.at.as_millis());
        self.attempt.push(small(event.attempt));
        self.kind.push(&event.kind);
        self.data.push(&event.data);
        self.hash.push(event.hash.as_bytes());
    }
}

impl<'a> Plan<'a> {
    /// Adds a new run. All checks are done.
    pub(in crate::postgres) fn admit(
        &mut self,
        number: i64,
        admission: &'a Admission,
        epoch: u64,
    ) -> Result<(), Failure> {
        let run = &admission.run;
        self.put_run(number, admission, epoch)?;
        for event in &admission.events {
            self.events.put(number, event);
            self.names.put(number, &event.kind, &event.data);
        }
        if let Some(ended_at) = run.status.ended_at() {
            // Written as a live run, so that its events can be added, and ended afterwards.
            let seq = integer(admission.head.seq);
            self.heads.run.push(number);
            self.heads.seen_seq.push(seq);
            self.heads.head_seq.push(seq);
            self.heads.head_hash.push(admission.head.hash.as_bytes().to_vec());
            self.heads.epoch.push(integer(epoch));
            self.heads.status.push(run.status.name().to_owned());
            self.heads.ended_at_ms.push(Some(ended_at.as_millis()));
            if admission.head.seq >= FOLD_FROM {
                self.states.put(number, run, admission.head.seq)?;
            }
        } else if let Some(pending) = &admission.queued {
            self.queue.put(number, pending);
        }
        self.documents.extend(admission.documents.iter().cloned());
        self.grown.push(Grown { number, run, events: &admission.events, is_new: true });
        Ok(())
    }

    fn put_run(&mut self, number: i64, admission: &Admission, epoch: u64) -> Result<(), Failure> {
        let run = &admission.run;
        let spec = &run.spec;
        let labels = labels(&spec.labels)?;
        let (fingerprint, fingerprint_key) = fingerprint(&spec.fingerprint);
        let class =
            spec.class().to_key().map_err(|error| damaged("", format!("its class: {error}")))?;
        let kept = |text: Option<&str>| text.map(|text| indexed(text).into_owned());
        let rows = &mut self.runs;
        rows.run.push(number);
        rows.run_id.push(run.id.to_string());
        rows.kind.push(kind_name(spec.kind));
        rows.agent.push(indexed(&spec.agent.name).into_owned());
        rows.name.push(kept(spec.name.as_deref()));
        rows.labels.push(labels);
        rows.session_id.push(kept(spec.session_id.as_deref()));
        rows.parent_run_id.push(spec.parent_run_id.as_ref().map(ToString::to_string));
        rows.idempotency_key.push(kept(spec.idempotency_key.as_deref()));
        rows.fingerprint.push(fingerprint.to_vec());
        rows.fingerprint_key.push(fingerprint_key);
        rows.status.push(run.status.name().to_owned());
        rows.epoch.push(integer(epoch));
        rows.head_seq.push(integer(admission.head.seq));
        rows.head_hash.push(admission.head.hash.as_bytes().to_vec());
        rows.namespace.push(spec.namespace.clone());
        rows.class.push(class);
        Ok(())
    }

    /// Adds events of a run. All checks are done.
    pub(super) fn append(
        &mut self,
        append: &'a Append,
        current: &LockedRun,
    ) -> Result<Appended, Failure> {
        let (run, number) = (&append.run, current.run);
        for event in &append.events {
            self.events.put(number, event);
            self.names.put(number, &event.kind, &event.data);
        }
        let status = run.status.name();
        let ended_at = run.status.ended_at();
        let seq = append.head.seq;
        let heads = &mut self.heads;
        heads.run.push(number);
        heads.seen_seq.push(current.head.map_or(0, |head| integer(head.seq)));
        heads.head_seq.push(integer(seq));
        heads.head_hash.push(append.head.hash.as_bytes().to_vec());
        heads.epoch.push(integer(current.epoch));
        heads.status.push(status.to_owned());
        heads.ended_at_ms.push(ended_at.map(errand_model::Timestamp::as_millis));
        let is_wanted = append.snapshot || ended_at.is_some();
        let behind = seq.saturating_sub(current.state_seq);
        let has_state =
            is_behind(run, seq, current.state_seq) || (is_wanted && behind >= FOLD_FROM);
        if has_state {
            self.states.put(number, run, seq)?;
        }
        for id in &append.answered {
            self.answered.0.push(*id);
            self.answered.1.push(number);
        }
        self.place(append, current);
        self.documents.extend(append.documents.iter().cloned());
        self.grown.push(Grown { number, run, events: &append.events, is_new: false });
        let answered = u32::try_from(append.answered.len()).unwrap_or(u32::MAX);
        let is_over = run.status.is_terminal();
        let open = if is_over { 0 } else { current.open_requests.saturating_sub(answered) };
        let after = LockedRun {
            status: status.to_owned(),
            head: Some(append.head),
            state_seq: if has_state { seq } else { current.state_seq },
            open_requests: open,
            ..current.clone()
        };
        // The next append after a release is another holder's.
        let is_kept = !is_over && !append.release;
        self.after.states.push((run.id.clone(), is_kept.then_some(after)));
        Ok(Appended { open_requests: open })
    }

    /// Updates lease, queue and requests to the run's new state.
    fn place(&mut self, append: &Append, current: &LockedRun) {
        let run = current.run;
        let is_over = append.run.status.is_terminal();
        if (append.release || is_over) && current.leased.is_some() {
            self.unleased.push(run);
        }
        if is_over && current.open_requests > 0 {
            self.unasked.push(run);
        }
        let is_pending = append.run.status.name() == PENDING;
        match &append.requeue {
            Some(pending) if is_pending => {
                self.unqueued.push(run);
                self.queue.put(run, pending);
            }
            Some(_) | None if current.status == PENDING && !is_pending => self.unqueued.push(run),
            Some(_) | None => {}
        }
    }

    /// Adds a new lease: the run leaves the queue, every older lease is void.
    pub(super) fn take(&mut self, current: &LockedRun, lease: &Lease) -> Result<(), Failure> {
        let run = current.run;
        let (epoch, leased) = (lease.epoch, Some(lease.epoch));
        let after = LockedRun { epoch, leased, ..current.clone() };
        self.after.states.push((lease.run_id.clone(), Some(after)));
        if current.leased.is_some() {
            self.unleased.push(run);
        }
        if current.status == PENDING {
            self.unqueued.push(run);
        }
        // Reservations under an older lease are never settled.
        self.unreserved.push(run);
        self.leases.put(run, lease)
    }

    /// Ends a lease without events.
    pub(super) fn give_back(&mut self, current: &LockedRun, epoch: u64) {
        self.unleased.push(current.run);
        self.given_back.0.push(current.run);
        self.given_back.1.push(integer(epoch));
    }
}

impl States {
    fn put(&mut self, run: i64, state: &Run, seq: u64) -> Result<(), Failure> {
        self.run.push(run);
        self.seq.push(integer(seq));
        self.state.push(json(state)?);
        Ok(())
    }
}
