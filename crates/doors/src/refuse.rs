//! Refusals in the shape that a client knows.

use errand_agent::agent_api::Refusal;
use errand_api::agent_file::ProviderName;
use errand_api::error_code::ErrorCode;
use errand_wire::WireFormat;
use errand_wire::refusal::{RefusalCause, RefusalShape, WireRefusal};
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

use crate::respond::{DoorBody, response};

/// Shape of the refusals that a client knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientShape {
    format: WireFormat,
    shape: RefusalShape,
}

impl ClientShape {
    /// Returns the shape for a request of a format at a provider.
    pub(crate) fn of(
        provider: Option<ProviderName>,
        format: WireFormat,
        target: &str,
        is_stream: bool,
    ) -> Self {
        let known = match (format, provider) {
            (WireFormat::Opaque, Some(ProviderName::Anthropic)) => WireFormat::AnthropicMessages,
            (WireFormat::Opaque, Some(ProviderName::Google)) => WireFormat::GeminiGenerate,
            (format, _) => format,
        };
        Self { format: known, shape: RefusalShape::of(known, target, is_stream) }
    }

    /// Returns the response that refuses a call.
    pub(crate) fn refusal(
        self,
        cause: RefusalCause,
        code: ErrorCode,
        message: &str,
    ) -> Response<DoorBody> {
        let refusal = WireRefusal { cause, code: code.as_str(), message };
        let made = refusal.response(self.format, self.shape);
        let mut response = response(made.status, made.body);
        for (name, value) in made.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    /// Returns the response for a refusal of the attempt's backend.
    pub(crate) fn of_backend(self, refusal: &Refusal) -> Response<DoorBody> {
        self.refusal(cause(refusal), refusal.code, &refusal.message)
    }

    /// Returns the event that ends a stream which has begun, for a refusal of the attempt's backend.
    pub(crate) fn stream_event(self, refusal: &Refusal) -> Vec<u8> {
        let (code, message) = (refusal.code.as_str(), refusal.message.as_str());
        WireRefusal { cause: cause(refusal), code, message }.stream_event(self.format, 0)
    }
}

fn cause(refusal: &Refusal) -> RefusalCause {
    let is_budget = matches!(refusal.code, ErrorCode::BudgetExceeded | ErrorCode::ModelUnpriced);
    if is_budget { RefusalCause::Budget } else { RefusalCause::Forbidden }
}
