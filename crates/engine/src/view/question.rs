//! Questions of a server's runs to people.

use errand_api::question::{OfRun, QUESTIONS_SCHEMA, QuestionList};

use crate::people::{ListedQuestion, OpenQuestion};

/// Returns the document of questions: each kind in a list of its own, in the given order.
pub fn questions(listed: Vec<ListedQuestion>) -> QuestionList {
    let mut list =
        QuestionList { schema: QUESTIONS_SCHEMA, approvals: Vec::new(), inputs: Vec::new() };
    for ListedQuestion { run_id, run_name, agent, parent_run_id, question } in listed {
        match question {
            OpenQuestion::Approval(question) => {
                let question = *question;
                list.approvals.push(OfRun { run_id, run_name, agent, parent_run_id, question });
            }
            OpenQuestion::Input(question) => {
                let question = *question;
                list.inputs.push(OfRun { run_id, run_name, agent, parent_run_id, question });
            }
        }
    }
    list
}
