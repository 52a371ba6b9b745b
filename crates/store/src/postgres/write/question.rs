//! Projection of the questions of agents to people.

use std::collections::BTreeMap;

use super::Grown;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::integer;
use crate::postgres::text::indexed;
use crate::projection::{QuestionEffect, question};

/// Effect of events on one question.
#[derive(Debug, Default)]
struct Change {
    /// The last event that asks, the time of the first one, and the deadline.
    asked: Option<(i64, i64, Option<i64>)>,
    answered_seq: Option<i64>,
}

/// Writes questions and answers.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let mut changes: BTreeMap<(i64, String), Change> = BTreeMap::new();
    let (mut over, mut last_seqs) = (Vec::new(), Vec::new());
    for Grown { number, run, events, .. } in grown {
        // Questions are part of the run's fold: most runs never ask any.
        if run.approvals.is_empty() && run.inputs.is_empty() {
            continue;
        }
        for event in *events {
            let seq = integer(event.seq);
            match question(event) {
                Some(QuestionEffect::Asked { id, deadline_ms }) => {
                    let change = changes.entry((*number, indexed(&id).into_owned())).or_default();
                    let at = change.asked.map_or(event.at.as_millis(), |(_, at, _)| at);
                    change.asked = Some((seq, at, deadline_ms));
                }
                Some(QuestionEffect::Answered { id }) => {
                    let change = changes.entry((*number, indexed(&id).into_owned())).or_default();
                    change.answered_seq.get_or_insert(seq);
                }
                Some(QuestionEffect::Ended) => {
                    over.push(*number);
                    last_seqs.push(seq);
                }
                None => {}
            }
        }
    }
    let (asked, answered) = (AskedRows::of(&changes), Answered::of(&changes));
    let mut steps = Vec::new();
    steps.extend(asked.step());
    steps.extend(answered.step());
    if !over.is_empty() {
        steps.push(Step::Execute(END, vec![&over, &last_seqs]));
    }
    if !steps.is_empty() {
        db.pipeline(&steps).await?;
    }
    Ok(())
}

const END: &str = "UPDATE questions q SET answered_seq = x.seq \
     FROM unnest($1::bigint[], $2::bigint[]) AS x (run, seq) \
     WHERE q.run = x.run AND q.answered_seq IS NULL";

/// Questions that are asked, perhaps again, by columns.
#[derive(Default)]
struct AskedRows<'a> {
    runs: Vec<i64>,
    ids: Vec<&'a str>,
    seqs: Vec<i64>,
    at_ms: Vec<i64>,
    deadlines_ms: Vec<Option<i64>>,
    answered_seqs: Vec<Option<i64>>,
}

impl<'a> AskedRows<'a> {
    fn of(changes: &'a BTreeMap<(i64, String), Change>) -> Self {
        let mut all = Self::default();
        for ((run, id), change) in changes {
            let Some((seq, at_ms, deadline_ms)) = change.asked else { continue };
            all.runs.push(*run);
            all.ids.push(id);
            all.seqs.push(seq);
            all.at_ms.push(at_ms);
            all.deadlines_ms.push(deadline_ms);
            all.answered_seqs.push(change.answered_seq);
        }
        all
    }

    fn step(&self) -> Option<Step<'_>> {
        // A repetition in another attempt is the same question.
        const SQL: &str = "INSERT INTO questions AS q (run, question_id, asked_seq, asked_at_ms, \
             deadline_ms, answered_seq) SELECT * FROM unnest($1::bigint[], $2::text[], \
             $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
             ON CONFLICT (run, question_id) DO UPDATE SET asked_seq = excluded.asked_seq, \
             deadline_ms = excluded.deadline_ms, \
             answered_seq = coalesce(q.answered_seq, excluded.answered_seq)";
        (!self.runs.is_empty()).then(|| {
            let Self { runs, ids, seqs, at_ms, deadlines_ms, answered_seqs } = self;
            Step::Execute(SQL, vec![runs, ids, seqs, at_ms, deadlines_ms, answered_seqs])
        })
    }
}

/// Answers to questions that were asked before, by columns.
#[derive(Default)]
struct Answered<'a> {
    runs: Vec<i64>,
    ids: Vec<&'a str>,
    seqs: Vec<i64>,
}

impl<'a> Answered<'a> {
    fn of(changes: &'a BTreeMap<(i64, String), Change>) -> Self {
        let mut all = Self::default();
        for ((run, id), change) in changes {
            if let (None, Some(seq)) = (change.asked, change.answered_seq) {
                all.runs.push(*run);
                all.ids.push(id);
                all.seqs.push(seq);
            }
        }
        all
    }

    fn step(&self) -> Option<Step<'_>> {
        const SQL: &str = "UPDATE questions q SET answered_seq = x.seq \
             FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS x (run, id, seq) \
             WHERE q.run = x.run AND q.question_id = x.id AND q.answered_seq IS NULL";
        (!self.runs.is_empty()).then(|| Step::Execute(SQL, vec![&self.runs, &self.ids, &self.seqs]))
    }
}
