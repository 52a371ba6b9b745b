//! Where the calls are. A segment that a name or key fills is percent-encoded.

/// What every path begins with.
pub const PREFIX: &str = "/agent/v1";
/// `POST`: [`super::Checkin`] → [`super::CheckinAnswer`].
pub const CHECKIN: &str = "/agent/v1/checkin";
/// `POST {STEPS}{key}/begin`, `…/complete`, `…/fail`.
pub const STEPS: &str = "/agent/v1/steps/";
/// `PUT`: [`super::SaveCheckpoint`] → [`super::Done`]; `GET` → [`super::CheckpointAnswer`].
pub const CHECKPOINT: &str = "/agent/v1/checkpoint";
/// `POST`: [`super::ReportEvents`] → [`super::ReportEventsAnswer`].
pub const EVENTS: &str = "/agent/v1/events";
/// `POST`: [`super::OutputPart`]; `PUT`: [`super::SetOutput`]; both → [`super::Done`].
pub const OUTPUT: &str = "/agent/v1/output";
/// `POST {ARTIFACTS}{name}` with the file as body → [`super::ArtifactAnswer`].
pub const ARTIFACTS: &str = "/agent/v1/artifacts/";
/// `GET` → the brief, a JSON document.
pub const BRIEF: &str = "/agent/v1/brief";
/// `GET` → [`super::SessionAnswer`]; `PUT`: [`super::PutSession`] → [`super::SessionAnswer`].
pub const SESSION: &str = "/agent/v1/session";
/// `GET` → server-sent events, each a [`super::ControlEvent`].
pub const CONTROL: &str = "/agent/v1/control";
/// `POST`: [`super::Checkback`] → [`super::Done`].
pub const CHECKBACK: &str = "/agent/v1/checkback";
/// `POST`: [`super::AskApproval`] → [`super::ApprovalAnswer`]. Not available yet.
pub const APPROVALS: &str = "/agent/v1/approvals";
/// `POST`: [`super::AskInput`] → [`super::InputAnswer`]. Not available yet.
pub const INPUTS: &str = "/agent/v1/inputs";
/// `POST`: [`super::SendMessage`] → [`super::MessageAnswer`]. Not available yet.
pub const MESSAGES: &str = "/agent/v1/messages";
/// `GET` → [`super::Message`]. Not available yet.
pub const NEXT_MESSAGE: &str = "/agent/v1/messages/next";
