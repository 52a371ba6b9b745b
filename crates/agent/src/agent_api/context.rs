//! State of a server, for its connections and calls.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::watch;

use super::Backend;
use super::token::Token;

/// State that all calls share.
pub(super) struct Context {
    pub(super) token: Token,
    pub(super) uploads: PathBuf,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) revoked: AtomicBool,
    /// Number of the next uploaded file.
    pub(super) next_upload: AtomicU64,
    /// True once the server shuts down; control streams then end.
    pub(super) closing: watch::Receiver<bool>,
    /// Sender of `closing`.
    pub(super) close: watch::Sender<bool>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("uploads", &self.uploads).finish_non_exhaustive()
    }
}

/// Waits until the server closes.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is already gone.
    drop(closing.wait_for(|closing| *closing).await);
}
