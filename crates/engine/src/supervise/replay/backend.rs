//! Calls of an agent in a strict replay.

use async_trait::async_trait;
use errand_agent::agent_api::{
    ApprovalCall, AttemptResult, Backend, ControlFeed, InputCall, Refusal, StepBegun, StepCall,
    StepCallResult, Upload,
};
use errand_api::agent_protocol::{
    ApprovalAnswer, CheckinAnswer, InputAnswer, ReportedEvent, Reserve, ReserveAnswer,
};
use errand_model::event::{CheckpointSaved, EventBody, Failure, Reported, StepStarted};
use errand_model::replay::{Served, StepContents};
use errand_model::{Digest, Payload};
use serde_json::Value;

use super::Replayed;
use crate::payload;
use crate::supervise::backend::refusal;

/// Size above which a file's digest is compared without translating the file.
const TRANSLATED_FILE_BYTES: u64 = 64 * 1024 * 1024;

#[async_trait]
impl Backend for Replayed {
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal> {
        let mut answer = self.journaled.checkin().await?;
        if answer.session_id.is_some() {
            answer.session_messages = self.loaded().ok().map(|(_, loaded)| loaded.messages);
        }
        Ok(answer)
    }

    async fn begin_step(&self, key: &str, begin: StepCall) -> Result<StepBegun, Refusal> {
        let words = |text: &str| self.translate.text(&self.journaled.masked_text(text));
        let asked = StepStarted {
            key: words(key),
            kind: begin.kind.clone(),
            fingerprint: begin.fingerprint.clone(),
            detail: begin
                .detail
                .as_deref()
                .map(|it| self.translate.text(&self.journaled.shown_detail(it))),
            run_id: None,
            allowance: std::collections::BTreeMap::new(),
        };
        let served = self.compare(|record| record.begin(&asked)).await?;
        let within = self.compare(|record| Ok(record.within(&asked.key))).await?;
        match self.journaled.begin_step(key, begin).await? {
            // No command is executed: the recorded step is recorded for this run too, and served.
            StepBegun::Run { .. } => self.serve(key, served, within).await,
            known @ (StepBegun::Done(_) | StepBegun::Failed { .. }) => Ok(known),
        }
    }

    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal> {
        self.journaled.complete_step(key, result).await
    }

    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal> {
        self.journaled.fail_step(key, error, exit_code).await
    }

    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal> {
        self.journaled.checkpoint().await
    }

    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal> {
        let found = self.journaled.kept(Payload::Json(self.translate.json(state.clone())))?;
        self.compare(|record| record.checkpoint(&found)).await?;
        self.journaled.save_checkpoint(state).await
    }

    /// Compares events without recording them again: a replay spends nothing.
    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal> {
        let blobs = self.engine.blobs();
        for (place, event) in events.into_iter().enumerate() {
            let mut data = self.journaled.masked_json(self.translate.json(event.data));
            self.journaled.accounted(place, &event.kind, &mut data).await?;
            payload::shorten(&blobs, &mut data).map_err(|error| refusal(&error.into()))?;
            let found = Reported::new(&event.kind, data)
                .map_err(|error| refusal(&crate::Error::Report(error)))?;
            self.compare(|record| record.report(found.type_name(), found.data())).await?;
        }
        Ok(())
    }

    /// Reserves nothing: a strict replay spends nothing and has no limits.
    async fn reserve(&self, call: Reserve) -> Result<ReserveAnswer, Refusal> {
        self.journaled.reserve(call).await
    }

    async fn release(&self, reservation_id: &str) -> Result<(), Refusal> {
        self.journaled.release(reservation_id).await
    }

    fn output_limit_bytes(&self) -> u64 {
        self.journaled.output_limit_bytes()
    }

    async fn set_output(&self, output: Payload) -> Result<(), Refusal> {
        self.journaled.set_output(output).await
    }

    async fn output_part(&self, text: String) -> Result<(), Refusal> {
        let found = self.translate.text(&self.journaled.masked_text(&text));
        self.compare(|record| record.output_part(&found)).await?;
        self.journaled.output_part(text).await
    }

    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal> {
        let name = self.translate.text(&self.journaled.masked_text(&upload.name));
        let digest = self.translated_digest(&upload);
        self.compare(|record| record.artifact(&name, &digest)).await?;
        self.journaled.keep_artifact(upload).await
    }

    async fn brief(&self) -> Result<Vec<u8>, Refusal> {
        self.journaled.brief().await
    }

    fn control(&self) -> ControlFeed {
        self.journaled.control()
    }

    async fn ask_approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        self.approval(ask).await
    }

    async fn ask_input(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        self.input(ask).await
    }

    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal> {
        self.journaled.checkback(result).await
    }
}

impl Replayed {
    /// Serves a step from the record, as if it had been done now.
    async fn serve(
        &self,
        key: &str,
        served: Served,
        within: StepContents,
    ) -> Result<StepBegun, Refusal> {
        if let Some(output) = within.output {
            self.journaled.set_output(output).await?;
        }
        if let Some(state) = within.checkpoint {
            let saved = EventBody::CheckpointSaved(CheckpointSaved { state });
            self.journaled.report_all(vec![saved]).await?;
        }
        match served {
            Served::Completed { output, stderr } => {
                let fetch = |part: &Option<Payload>| {
                    part.as_ref().map(|p| self.journaled.fetched(p)).transpose()
                };
                let given = StepCallResult { output: fetch(&output)?, stderr: fetch(&stderr)? };
                self.journaled.complete_step(key, StepCallResult { output, stderr }).await?;
                Ok(StepBegun::Done(given))
            }
            Served::Failed { error, exit_code } => {
                self.journaled.fail_step(key, error.clone(), exit_code).await?;
                Ok(StepBegun::Failed { error, exit_code })
            }
        }
    }

    /// Returns the digest of the file with the recorded run's id in it.
    fn translated_digest(&self, upload: &Upload) -> Digest {
        if upload.size_bytes > TRANSLATED_FILE_BYTES {
            return upload.digest.clone();
        }
        let translated = std::fs::read(&upload.path)
            .ok()
            .and_then(|bytes| self.translate.bytes(&bytes))
            .map(|bytes| Digest::of(&bytes));
        translated.unwrap_or_else(|| upload.digest.clone())
    }
}
