//! Questions of a server's runs to people.

use errand_api::question::{OfRun, QUESTIONS_SCHEMA, QuestionList};

use crate::people::{Listed, Question};

/// Returns the document of questions: each kind in a list of its own, in the given order.
pub fn questions(listed: Vec<Listed>) -> QuestionList {
    let mut list =
        QuestionList { schema: QUESTIONS_SCHEMA, approvals: Vec::new(), inputs: Vec::new() };
    for Listed { run_id, run_name, agent, parent_run_id, question } in listed {
        match question {
            Question::Approval(question) => {
                let question = *question;
                list.approvals.push(OfRun { run_id, run_name, agent, parent_run_id, question });
            }
            Question::Input(question) => {
                let question = *question;
                list.inputs.push(OfRun { run_id, run_name, agent, parent_run_id, question });
            }
        }
    }
    list
}
