//! Names that errand and the shim share about the model gateway.

/// Variable of the command with the path of the gateway's socket.
pub const SOCKET_VARIABLE: &str = "ERRAND_MODEL_SOCKET";
/// Port of the container's loopback address at which the shim relays to that socket.
pub const PORT: u16 = 4141;
