//! What every store has to do: functions that are generic over where the runs are kept, made into
//! tests by [`conforms`] for each store.

pub(crate) mod appending;

use std::sync::Arc;

use errand_store::Store;

/// A place of its own in which a store lives.
pub(crate) trait StoreFactory: Send + Sync {
    /// Opens the store once more, as another process would.
    fn open(&self) -> Arc<dyn Store>;
}

/// Makes a test of each function of the suite, for the store that `$factory` makes.
macro_rules! conforms {
    ($factory:expr) => {
        crate::conformance::conforms!(@ $factory; appending:
            what_is_appended_is_loaded
        );
    };
    (@ $factory:expr; $($module:ident: $($name:ident)*);*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $name() {
                crate::conformance::$module::$name(&$factory).await;
            })*
        })*
    };
}
pub(crate) use conforms;
