//! Check that comments and answers, which are recorded, hold no secret.

use errand_model::run::Run;

use super::Error;
use crate::error::SecretExposed;
use crate::{Engine, environment, equipment};

/// Refuses a text that contains the value of a secret of the run's agent, as far as the caller has
/// these secrets.
///
/// # Errors
///
/// [`crate::error::SecretExposed`].
pub(crate) fn refuse_secrets(
    engine: &Engine,
    run: &Run,
    place: &'static str,
    text: &str,
) -> Result<(), Error> {
    let Ok(parcel) = equipment::open(engine, run) else { return Ok(()) };
    if parcel.agent.secrets.is_empty() {
        return Ok(());
    }
    // A caller without access to the secrets cannot reveal them.
    let Ok(secrets) = environment::secrets(engine.surroundings(), &parcel.agent) else {
        return Ok(());
    };
    for secret in secrets {
        if memchr::memmem::find(text.as_bytes(), secret.value.expose()).is_some() {
            return Err(SecretExposed { place, name: secret.name }.into());
        }
    }
    Ok(())
}
