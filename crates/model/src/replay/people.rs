//! Questions of the recorded run to people, and their answers. A replay asks no person.

use std::collections::{BTreeMap, BTreeSet};

use super::divergence::Divergence;
use crate::event::{ApprovalRequested, InputRequested, PolicyDecided, QuestionEvent};

/// The questions of a record, by their ids.
#[derive(Clone, Debug, Default)]
pub struct PeopleRecord {
    approvals: BTreeMap<String, Question>,
    inputs: BTreeMap<String, Question>,
    /// Hook and subject of each call about which a policy asked a person. A replay asks no policy.
    of_policies: BTreeSet<(String, String)>,
}

#[derive(Clone, Debug)]
struct Question {
    /// Text of the question, for people.
    shown: String,
    /// True if it was answered or expired.
    is_settled: bool,
    /// True if the replay has to ask it: questions of a step's command are not repeated.
    is_due: bool,
}

impl PeopleRecord {
    pub(super) fn take_in(&mut self, in_step: bool, event: QuestionEvent<'_>) {
        let settled = match event {
            QuestionEvent::ApprovalRequested(asked) => {
                // A policy says that it asks before the question is put.
                let of_policy = (asked.action.clone(), asked.target.clone());
                let is_due = !in_step && !self.of_policies.contains(&of_policy);
                let question = Question { shown: approval(asked), is_settled: false, is_due };
                self.approvals.entry(asked.approval_id.clone()).or_insert(question);
                None
            }
            QuestionEvent::InputRequested(asked) => {
                let question =
                    Question { shown: input(asked), is_settled: false, is_due: !in_step };
                self.inputs.entry(asked.input_id.clone()).or_insert(question);
                None
            }
            QuestionEvent::ApprovalDecided(decided) => self.approvals.get_mut(&decided.approval_id),
            QuestionEvent::InputProvided(provided) => self.inputs.get_mut(&provided.input_id),
            QuestionEvent::InputExpired(expired) => self.inputs.get_mut(&expired.input_id),
        };
        if let Some(question) = settled {
            question.is_settled = true;
        }
    }

    /// Takes in a decision of a policy.
    pub(super) fn note_policy(&mut self, decided: &PolicyDecided) {
        if decided.verdict == "ask" {
            let subject = decided.subject.clone().unwrap_or_default();
            self.of_policies.insert((decided.hook.clone(), subject));
        }
    }

    /// Takes the replay's request for the approval `id`, which it shows to people as `shown`.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the recorded run did not request it, or it was never decided.
    pub fn approve(&mut self, id: &str, shown: &str) -> Result<(), Divergence> {
        ask(&mut self.approvals, id, ("approval", shown))
    }

    /// The replay asks the question `id`, which it shows to people as `shown`.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the recorded run did not ask that, or it was left open.
    pub fn input(&mut self, id: &str, shown: &str) -> Result<(), Divergence> {
        ask(&mut self.inputs, id, ("input", shown))
    }

    pub(super) fn finished(&self) -> Result<(), Divergence> {
        if let Some(missing) = self.approvals.values().find(|question| question.is_due) {
            return Err(Divergence::new("approval", Some(&missing.shown), None));
        }
        match self.inputs.values().find(|question| question.is_due) {
            Some(missing) => Err(Divergence::new("input", Some(&missing.shown), None)),
            None => Ok(()),
        }
    }
}

fn ask(
    questions: &mut BTreeMap<String, Question>,
    id: &str,
    (what, shown): (&str, &str),
) -> Result<(), Divergence> {
    let Some(question) = questions.get_mut(id) else {
        let other = questions.values().find(|question| question.is_due);
        let expected = other.map(|question| question.shown.as_str());
        return Err(Divergence::new(what, expected, Some(shown)));
    };
    question.is_due = false;
    if question.is_settled {
        return Ok(());
    }
    let expected = format!("{}\nnobody answered", question.shown);
    Err(Divergence::new(what, Some(&expected), Some(shown)))
}

/// An approval as people read it.
fn approval(asked: &ApprovalRequested) -> String {
    let ApprovalRequested { action, target, digest, .. } = asked;
    format!("{action} {target}\n{digest}")
}

/// A question as people read it.
fn input(asked: &InputRequested) -> String {
    asked.prompt.clone()
}
