//! A model call that a client asks for.

use errand_wire::WireCall;

use crate::ledger::Try;
use crate::refuse::ClientShape;
use crate::tries::{AskedRequest, CallTry};
use crate::usage::ExpectedUsage;

/// A call that a client asks for.
#[derive(Debug)]
pub(crate) struct CallRequest {
    pub(crate) asked: AskedRequest,
    /// First try of the call.
    pub(crate) first: CallTry,
    pub(crate) expected: ExpectedUsage,
    pub(crate) sent: Try,
    /// Description for people.
    pub(crate) detail: String,
    pub(crate) shape: ClientShape,
    pub(crate) call: WireCall,
    /// A policy changed the request.
    pub(crate) is_changed: bool,
}
