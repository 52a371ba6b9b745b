//! Search for the service that holds an address which another one wants.

use std::net::SocketAddr;

use errand_model::RunId;
use errand_model::event::RunKind;
use errand_model::run::Run;
use errand_store::{Filter, Page};

use crate::{Engine, Error, wait};

/// Most live services searched for a hint.
const LOOKED_AT: u32 = 1_000;

/// A live service that listens at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressHolder {
    /// Run id of the service.
    pub run_id: RunId,
    /// Its name, or else that of its agent.
    pub name: String,
}

/// Returns the live service that listens at an address which `run_id` wants; `None` if no service
/// of this registry does.
///
/// # Errors
///
/// If the registry fails.
pub async fn address_holder(
    engine: &Engine,
    run_id: &RunId,
) -> Result<Option<AddressHolder>, Error> {
    let wanted = wait::load(engine, run_id).await?.run;
    let specs = wanted.spec.service.iter().flat_map(|spec| &spec.listeners);
    let wanted: Vec<SocketAddr> = specs.filter_map(|spec| spec.listen_addr.parse().ok()).collect();
    let kinds = vec![RunKind::Service];
    let filter = Filter { live: true, kinds, ..Filter::default() };
    let page = Page { after: None, limit: LOOKED_AT };
    let (services, _) = engine.store().list(&filter, &page).await?;
    let holder = services.into_iter().map(|stored| stored.run).find(|run| {
        run.id != *run_id && bound(run).any(|has| wanted.iter().any(|asks| collide(*asks, has)))
    });
    Ok(holder.map(|run| AddressHolder {
        name: run.spec.name.clone().unwrap_or_else(|| run.spec.agent.name.clone()),
        run_id: run.id,
    }))
}

fn bound(run: &Run) -> impl Iterator<Item = SocketAddr> {
    let listeners = run.service.iter().flat_map(|service| &service.listeners);
    listeners.filter_map(|listener| listener.bound_addr.as_ref()?.parse().ok())
}

/// Returns true if the two addresses cannot be bound at the same time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a == b || a.is_unspecified() || b.is_unspecified())
}
