//! Questions of a server's runs to people.

use async_trait::async_trait;
use errand_api::question::QuestionList;
use errand_engine::operations::PeopleOperations;
use errand_store::Questions;

use super::Remote;
use crate::failure::Failure;

#[async_trait]
impl PeopleOperations<Failure> for Remote {
    async fn questions(&self, which: Questions) -> Result<QuestionList, Failure> {
        let all = matches!(which, Questions::All);
        self.query(&["approvals"], &[("all", all.to_string())]).await
    }

    async fn apply_due_deadlines(&self) -> Result<Vec<Failure>, Failure> {
        Ok(Vec::new())
    }
}
