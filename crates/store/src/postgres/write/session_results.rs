//! Results of tools that a commit adds to sessions.

use std::collections::BTreeMap;

use errand_model::event::SessionCached;
use errand_model::{RunId, Timestamp};

use crate::RESULTS_PER_SESSION;
use crate::postgres::db::{Step, Value};
use crate::postgres::failure::Failure;
use crate::postgres::row::{integer, json};
use crate::postgres::text::indexed;

/// Key of a result: session, tool and the digest of the input.
type Input = (String, String, String);

/// New results, in the order of their events.
#[derive(Default)]
pub(super) struct Results {
    /// Results of each input, at most two, of two runs: see [`Results::add`].
    kept: Vec<Option<Kept>>,
    /// Indexes in `kept` by input, the newest last.
    by_input: BTreeMap<Input, Vec<usize>>,
    /// Time of each session's newest result: results that expired by then are deleted.
    at_ms: BTreeMap<String, i64>,
}

struct Kept {
    input: Input,
    run_id: String,
    result: String,
    at_ms: i64,
    expires_at_ms: Option<i64>,
}

impl Results {
    /// Adds a result. The last result of another run for the same input stays, since this one may
    /// be rolled back; older ones are deleted.
    pub(super) fn add(
        &mut self,
        session_id: &str,
        run_id: &RunId,
        at: Timestamp,
        cached: &SessionCached,
    ) -> Result<(), Failure> {
        let input: Input = (
            session_id.to_owned(),
            indexed(&cached.tool).into_owned(),
            cached.input_digest.as_str().to_owned(),
        );
        let at_ms = at.as_millis();
        let last = self.at_ms.entry(session_id.to_owned()).or_insert(at_ms);
        *last = (*last).max(at_ms);
        let places = self.by_input.entry(input.clone()).or_default();
        let other = places.iter().copied().rev().find(|place| {
            let kept = self.kept.get(*place).and_then(Option::as_ref);
            kept.is_some_and(|kept| kept.run_id != run_id.as_str())
        });
        for place in places.drain(..).filter(|place| Some(*place) != other) {
            if let Some(kept) = self.kept.get_mut(place) {
                *kept = None;
            }
        }
        places.extend(other);
        places.push(self.kept.len());
        self.kept.push(Some(Kept {
            input,
            run_id: run_id.as_str().to_owned(),
            result: json(&cached.result)?,
            at_ms,
            expires_at_ms: cached.expires_at_ms.map(Timestamp::as_millis),
        }));
        Ok(())
    }

    /// Returns all results by columns.
    pub(super) fn columns(&self) -> Columns<'_> {
        let mut columns = Columns { limit: integer(RESULTS_PER_SESSION), ..Columns::default() };
        for (session_id, at_ms) in &self.at_ms {
            columns.sessions.push(session_id);
            columns.session_at_ms.push(*at_ms);
        }
        for (input, places) in &self.by_input {
            columns.inputs.add(input);
            let run = places.last().and_then(|place| self.kept.get(*place)?.as_ref());
            // If two are kept, no older one is.
            let is_alone = places.len() == 1;
            columns.input_runs.push(run.filter(|_| is_alone).map(|kept| kept.run_id.as_str()));
        }
        for kept in self.kept.iter().flatten() {
            columns.kept.add(&kept.input);
            columns.runs.push(&kept.run_id);
            columns.results.push(&kept.result);
            columns.at_ms.push(kept.at_ms);
            columns.expires_at_ms.push(kept.expires_at_ms);
        }
        columns
    }
}

#[derive(Default)]
struct Inputs<'a> {
    sessions: Vec<&'a str>,
    tools: Vec<&'a str>,
    digests: Vec<&'a str>,
}

impl<'a> Inputs<'a> {
    fn add(&mut self, (session_id, tool, digest): &'a Input) {
        self.sessions.push(session_id);
        self.tools.push(tool);
        self.digests.push(digest);
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![&self.sessions, &self.tools, &self.digests]
    }
}

/// Parameters of the statements.
#[derive(Default)]
pub(super) struct Columns<'a> {
    sessions: Vec<&'a str>,
    session_at_ms: Vec<i64>,
    inputs: Inputs<'a>,
    /// The one run whose result of the input is kept; `None`: two are.
    input_runs: Vec<Option<&'a str>>,
    kept: Inputs<'a>,
    runs: Vec<&'a str>,
    results: Vec<&'a str>,
    at_ms: Vec<i64>,
    expires_at_ms: Vec<Option<i64>>,
    /// Upper bound on the results of a session.
    limit: i64,
}

impl Columns<'_> {
    /// Returns the statements; none if there are no results.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        const EXPIRED: &str = "DELETE FROM session_results c \
             USING unnest($1::text[], $2::bigint[]) AS x (session_id, at) \
             WHERE c.session_id = x.session_id AND c.expires_at_ms <= x.at";
        const OLDER: &str = "DELETE FROM session_results c \
             USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
             AS x (session_id, tool, input_digest, run_id) \
             WHERE c.session_id = x.session_id AND c.tool = x.tool \
             AND c.input_digest = x.input_digest AND (x.run_id IS NULL OR c.run_id = x.run_id \
             OR c.id < (SELECT max(n.id) FROM session_results n \
             WHERE n.session_id = x.session_id AND n.tool = x.tool \
             AND n.input_digest = x.input_digest AND n.run_id <> x.run_id))";
        const INSERT: &str = "INSERT INTO session_results (session_id, tool, input_digest, \
             run_id, result, at_ms, expires_at_ms) \
             SELECT session_id, tool, input_digest, run_id, result, at_ms, expires_at_ms \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], \
             $6::bigint[], $7::bigint[]) WITH ORDINALITY \
             AS x (session_id, tool, input_digest, run_id, result, at_ms, expires_at_ms, place) \
             ORDER BY place";
        const TOO_MANY: &str = "DELETE FROM session_results c USING \
             (SELECT x.session_id, (SELECT n.id FROM session_results n \
             WHERE n.session_id = x.session_id ORDER BY n.id DESC LIMIT 1 OFFSET $2) AS id \
             FROM unnest($1::text[]) AS x (session_id)) y \
             WHERE c.session_id = y.session_id AND c.id <= y.id";
        if self.runs.is_empty() {
            return Vec::new();
        }
        let mut older = self.inputs.values();
        older.push(&self.input_runs);
        let mut insert = self.kept.values();
        let rest: [Value<'_>; 4] = [&self.runs, &self.results, &self.at_ms, &self.expires_at_ms];
        insert.extend(rest);
        vec![
            Step::Execute(EXPIRED, vec![&self.sessions, &self.session_at_ms]),
            Step::Execute(OLDER, older),
            Step::Execute(INSERT, insert),
            Step::Execute(TOO_MANY, vec![&self.sessions, &self.limit]),
        ]
    }
}
