//! `errand.v1.Runs`.

use axum::Router;
use errand_api::gateway::people::{Decided, Provided};
use errand_api::gateway::run::RunPage;
use errand_api::record::RunRecord;
use errand_model::RunId;
use errand_model::event::ApprovalVerdict;
use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status};

use super::call::{From, RestCall, status};
use super::proto::runs_server::Runs;
use super::stream::{Items, items};
use super::{proto, shape};
use crate::Gateway;
use crate::follow::{Follow, RunSelection, types};
use crate::leave::Leave;
use crate::refusal::Refusal;

/// The run service.
#[derive(Debug)]
pub(super) struct Service {
    gateway: Gateway,
    rest: Router,
}

/// Builds a request target with a query.
fn target(path: String, query: &[(&str, &str)]) -> String {
    let mut all = path;
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    for ((name, value), sign) in given.zip(std::iter::once('?').chain(std::iter::repeat('&'))) {
        all.push(sign);
        all.push_str(name);
        all.push('=');
        push_escaped(&mut all, value);
    }
    all
}

/// Percent-encodes everything that is not unreserved (RFC 3986, section 2.3).
fn push_escaped(all: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                all.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// Builds a path below a run.
fn of_run(run_id: &str, more: &str) -> String {
    let mut path = "/v1/runs/".to_owned();
    // REST refuses an empty or invalid id, under the name of the field.
    push_escaped(&mut path, if run_id.is_empty() { "none" } else { run_id });
    path + more
}

impl Service {
    pub(super) const fn new(gateway: Gateway, rest: Router) -> Self {
        Self { gateway, rest }
    }

    async fn run(&self, from: &From, asked: RestCall) -> Result<Response<proto::Run>, Status> {
        let record: RunRecord = from.ask(&self.rest, asked).await?;
        Ok(Response::new(shape::run(record)))
    }

    /// Streams a run that REST has shown to the caller.
    async fn follow(&self, run_id: &RunId, wanted: RunSelection) -> Result<Follow, Status> {
        let loaded = self.gateway.engine().store().load(run_id).await;
        let found = loaded
            .map_err(Refusal::from)
            .and_then(|stored| stored.ok_or_else(|| Refusal::no_run(run_id.as_str())));
        let head = found.map_err(|refusal| status(refusal.problem()))?.head.seq;
        if wanted.after > head {
            let detail = format!("the run has {head} events, and no event {}", wanted.after);
            return Err(status(Refusal::parameter("after_seq", detail).problem()));
        }
        Ok(Follow::new(&self.gateway, run_id.clone(), head, wanted))
    }
}

#[tonic::async_trait]
impl Runs for Service {
    async fn create_run(
        &self,
        request: Request<proto::CreateRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, mut run) = From::split(request);
        let key = std::mem::take(&mut run.idempotency_key);
        let asked = RestCall::post("/v1/runs", Some(shape::body(run)?)).with_key(key);
        self.run(&from, asked).await
    }

    type CreateAndStreamStream = Items;

    async fn create_and_stream(
        &self,
        request: Request<proto::CreateAndStreamRequest>,
    ) -> Result<Response<Items>, Status> {
        let (from, proto::CreateAndStreamRequest { run, cancel_on_disconnect, log }) =
            From::split(request);
        let mut run = run.unwrap_or_default();
        let key = std::mem::take(&mut run.idempotency_key);
        let asked = RestCall::post("/v1/runs", Some(shape::body(run)?)).with_key(key);
        let record: RunRecord = from.ask(&self.rest, asked).await?;
        let leave = cancel_on_disconnect
            .then(|| Leave::new(self.gateway.clone(), record.run_id.clone(), "api".to_owned()));
        let wanted = RunSelection { output: true, log, ..RunSelection::default() };
        let follow = self.follow(&record.run_id, wanted).await?;
        Ok(Response::new(items(follow, leave)))
    }

    async fn get_run(
        &self,
        request: Request<proto::GetRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, proto::GetRunRequest { run_id }) = From::split(request);
        self.run(&from, RestCall::get(of_run(&run_id, ""))).await
    }

    async fn list_runs(
        &self,
        request: Request<proto::ListRunsRequest>,
    ) -> Result<Response<proto::ListRunsResponse>, Status> {
        let (from, list) = From::split(request);
        let labels: Vec<String> =
            list.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let limit = if list.limit == 0 { String::new() } else { list.limit.to_string() };
        let mut query = vec![
            ("status", list.status.as_str()),
            ("agent", &list.agent),
            ("name", &list.name),
            ("session_id", &list.session_id),
            ("kind", &list.kind),
            ("parent_run_id", &list.parent_run_id),
            ("live", if list.live { "true" } else { "" }),
            ("limit", &limit),
            ("cursor", &list.cursor),
        ];
        query.extend(labels.iter().map(|label| ("label", label.as_str())));
        let asked = RestCall::get(target("/v1/runs".to_owned(), &query));
        let page: RunPage = from.ask(&self.rest, asked).await?;
        Ok(Response::new(proto::ListRunsResponse {
            runs: page.runs.into_iter().map(shape::run).collect(),
            next_cursor: page.next_cursor.unwrap_or_default(),
        }))
    }

    async fn wait_run(
        &self,
        request: Request<proto::WaitRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, proto::WaitRunRequest { run_id, timeout }) = From::split(request);
        let path = of_run(&run_id, "/wait");
        self.run(&from, RestCall::get(target(path, &[("timeout", &timeout)]))).await
    }

    async fn cancel_run(
        &self,
        request: Request<proto::CancelRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, cancel) = From::split(request);
        let mut body = Map::new();
        if !cancel.grace_period.is_empty() {
            body.insert("grace_period".to_owned(), cancel.grace_period.into());
        }
        if cancel.force {
            body.insert("force".to_owned(), true.into());
        }
        let wait = if cancel.wait { "true" } else { "" };
        let path = target(of_run(&cancel.run_id, "/cancel"), &[("wait", wait)]);
        self.run(&from, RestCall::post(path, Some(body.into()))).await
    }

    async fn pause_run(
        &self,
        request: Request<proto::PauseRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, proto::PauseRunRequest { run_id }) = From::split(request);
        self.run(&from, RestCall::post(of_run(&run_id, "/pause"), None)).await
    }

    async fn resume_run(
        &self,
        request: Request<proto::ResumeRunRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, proto::ResumeRunRequest { run_id, raise_json }) = From::split(request);
        let raise = shape::document("raise", &raise_json)?;
        let body = raise.map(|raise| json!({ "raise": raise }));
        self.run(&from, RestCall::post(of_run(&run_id, "/resume"), body)).await
    }

    async fn wake(
        &self,
        request: Request<proto::WakeRequest>,
    ) -> Result<Response<proto::Run>, Status> {
        let (from, proto::WakeRequest { run_id, input_json }) = From::split(request);
        let input = shape::document("input", &input_json)?;
        let body = input.map(|input| json!({ "input": input }));
        self.run(&from, RestCall::post(of_run(&run_id, "/wake"), body)).await
    }

    async fn decide_approval(
        &self,
        request: Request<proto::DecideApprovalRequest>,
    ) -> Result<Response<proto::DecideApprovalResponse>, Status> {
        let (from, decide) = From::split(request);
        let decision = if decide.approve { "approve" } else { "reject" };
        let mut body = Map::from_iter([("decision".to_owned(), Value::from(decision))]);
        for (name, text) in [("comment", decide.comment), ("digest", decide.digest)] {
            if !text.is_empty() {
                body.insert(name.to_owned(), text.into());
            }
        }
        let mut path = of_run(&decide.run_id, "/approvals");
        if !decide.approval_id.is_empty() {
            path.push('/');
            push_escaped(&mut path, &decide.approval_id);
        }
        let decided: Decided =
            from.ask(&self.rest, RestCall::post(path, Some(body.into()))).await?;
        Ok(Response::new(proto::DecideApprovalResponse {
            run_id: decided.run_id,
            approval_id: decided.approval_id,
            approved: decided.decision == ApprovalVerdict::Approve,
            decided_by: decided.decided_by,
        }))
    }

    async fn provide_input(
        &self,
        request: Request<proto::ProvideInputRequest>,
    ) -> Result<Response<proto::ProvideInputResponse>, Status> {
        let (from, provide) = From::split(request);
        let answer = shape::document("answer", &provide.answer_json)?;
        let mut body = Map::from_iter([("answer".to_owned(), answer.unwrap_or(Value::Null))]);
        if !provide.input_id.is_empty() {
            body.insert("input_id".to_owned(), provide.input_id.into());
        }
        let path = of_run(&provide.run_id, "/input");
        let given: Provided = from.ask(&self.rest, RestCall::post(path, Some(body.into()))).await?;
        Ok(Response::new(proto::ProvideInputResponse {
            run_id: given.run_id,
            input_id: given.input_id,
            answered_by: given.answered_by,
        }))
    }

    type StreamEventsStream = Items;

    async fn stream_events(
        &self,
        request: Request<proto::StreamEventsRequest>,
    ) -> Result<Response<Items>, Status> {
        let (from, stream) = From::split(request);
        // REST decides whether the caller may see the run.
        let record: RunRecord =
            from.ask(&self.rest, RestCall::get(of_run(&stream.run_id, ""))).await?;
        let wanted = RunSelection {
            after: stream.after_seq,
            types: types(&stream.types).map_err(|refusal| status(refusal.problem()))?,
            output: !stream.no_output,
            log: stream.log,
        };
        let follow = self.follow(&record.run_id, wanted).await?;
        Ok(Response::new(items(follow, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_cannot_leave_its_segment_of_the_path() {
        assert_eq!(of_run("../agents?x", "/wait"), "/v1/runs/..%2Fagents%3Fx/wait");
        assert_eq!(of_run("", ""), "/v1/runs/none");
        let query = [("status", ""), ("label", "a=b&c"), ("name", "ä")];
        assert_eq!(target("/v1/runs".to_owned(), &query), "/v1/runs?label=a%3Db%26c&name=%C3%A4");
    }
}
