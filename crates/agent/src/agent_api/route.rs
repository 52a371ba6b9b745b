//! Routes of the agent API: the calls by path, and the methods that each takes.

use errand_api::agent_protocol::path;
use hyper::Method;

/// A path that is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Checkin,
    BeginStep(String),
    CompleteStep(String),
    FailStep(String),
    Checkpoint,
    Events,
    Reserve,
    Release(String),
    Output,
    Artifact(String),
    Brief,
    Session,
    SessionMessages,
    SessionResult(String),
    Control,
    Checkback,
    Approvals,
    Inputs,
    SendMessage,
    NextMessage,
    HandOver,
}

impl Route {
    /// Returns the route of a path, if there is one.
    pub(super) fn find(path: &str) -> Option<Self> {
        Some(match path {
            path::CHECKIN => Self::Checkin,
            path::CHECKPOINT => Self::Checkpoint,
            path::EVENTS => Self::Events,
            path::RESERVATIONS => Self::Reserve,
            path::OUTPUT => Self::Output,
            path::BRIEF => Self::Brief,
            path::SESSION => Self::Session,
            path::SESSION_MESSAGES => Self::SessionMessages,
            path::CONTROL => Self::Control,
            path::CHECKBACK => Self::Checkback,
            path::APPROVALS => Self::Approvals,
            path::INPUTS => Self::Inputs,
            path::MESSAGES => Self::SendMessage,
            path::NEXT_MESSAGE => Self::NextMessage,
            path::HANDOFF => Self::HandOver,
            _ => return Self::named(path),
        })
    }

    /// Finds the paths that end in a name. A slash in a name may be encoded or not.
    fn named(path: &str) -> Option<Self> {
        if let Some(name) = path.strip_prefix(path::ARTIFACTS) {
            return path::decode(name).map(Self::Artifact);
        }
        if let Some(tool) = path.strip_prefix(path::SESSION_RESULTS) {
            return path::decode(tool).map(Self::SessionResult);
        }
        if let Some(id) = path.strip_prefix(path::RESERVATIONS) {
            return path::decode(id.strip_prefix('/')?).map(Self::Release);
        }
        let (key, verb) = path.strip_prefix(path::STEPS)?.rsplit_once('/')?;
        let key = path::decode(key)?;
        match verb {
            "begin" => Some(Self::BeginStep(key)),
            "complete" => Some(Self::CompleteStep(key)),
            "fail" => Some(Self::FailStep(key)),
            _ => None,
        }
    }

    /// Returns the methods that the route takes.
    pub(super) const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Checkin
            | Self::BeginStep(_)
            | Self::CompleteStep(_)
            | Self::FailStep(_)
            | Self::Events
            | Self::Reserve
            | Self::Artifact(_)
            | Self::Checkback
            | Self::Approvals
            | Self::Inputs
            | Self::SendMessage
            | Self::HandOver => &[Method::POST],
            Self::Checkpoint | Self::Session | Self::SessionResult(_) => {
                &[Method::GET, Method::PUT]
            }
            Self::SessionMessages => &[Method::GET, Method::POST],
            Self::Release(_) => &[Method::DELETE],
            Self::Output => &[Method::POST, Method::PUT],
            Self::Brief | Self::Control | Self::NextMessage => &[Method::GET],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_hold_slashes_encoded_or_not() {
        let begin = |key: &str| Some(Route::BeginStep(key.to_owned()));
        assert_eq!(Route::find("/agent/v1/steps/build/begin"), begin("build"));
        assert_eq!(Route::find("/agent/v1/steps/a%2Fb%20c/begin"), begin("a/b c"));
        assert_eq!(Route::find("/agent/v1/steps/a/b/begin"), begin("a/b"));
        assert_eq!(Route::find(&path::begin_step("x/begin")), begin("x/begin"));
        assert_eq!(Route::find("/agent/v1/steps/build/eat"), None);
        assert_eq!(Route::find("/agent/v1/steps/%zz/begin"), None);
        assert_eq!(Route::find("/agent/v1/checkin/"), None);
    }
}
