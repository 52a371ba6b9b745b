//! Errors of a bus.

use errand_model::error_code::ErrorCode;
use thiserror::Error;

/// Longest text of a server in an error.
const REASON_CHARS: usize = 300;

/// Error: a bus cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the bus {bus}: {reason}")]
pub struct BusError {
    /// Address of the bus, without credentials.
    pub bus: String,
    /// Kind of the fault.
    pub fault: BusFault,
    /// Reason in words.
    pub reason: String,
}

/// Kind of a fault of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFault {
    /// The address names no bus.
    AddressInvalid,
    /// The bus does not answer, or cannot work now. Asked later, it may.
    Unreachable,
    /// The bus refuses the credentials, or does not permit the request.
    Denied,
    /// The queue does not exist.
    QueueMissing,
    /// Orders have no place that both sides share.
    OrdersPlaceMissing,
}

impl BusError {
    /// Returns an error with a reason, which is cut and cleaned.
    pub(crate) fn new(bus: impl Into<String>, fault: BusFault, reason: &str) -> Self {
        let reason = reason.chars().filter(|it| !it.is_control()).take(REASON_CHARS).collect();
        Self { bus: bus.into(), fault, reason }
    }

    /// Returns the code of the error.
    pub const fn code(&self) -> ErrorCode {
        match self.fault {
            BusFault::AddressInvalid => ErrorCode::BusAddressInvalid,
            BusFault::Unreachable => ErrorCode::BusUnreachable,
            BusFault::Denied => ErrorCode::BusAccessDenied,
            BusFault::QueueMissing => ErrorCode::BusQueueMissing,
            BusFault::OrdersPlaceMissing => ErrorCode::BusBlobsMissing,
        }
    }
}
