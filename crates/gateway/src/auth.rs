//! Who calls, and what that caller may do.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::routes::{Route, Scope};

use crate::Gateway;
use crate::refusal::Refusal;

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose runs and agents are meant; `None`: the default namespace's.
    pub(crate) namespace: Option<String>,
    /// What may be done.
    pub(crate) scopes: Vec<Scope>,
    /// The public part of the key; `None` where no key is asked for.
    pub(crate) key_id: Option<String>,
}

impl Caller {
    /// Whoever reaches a gateway that asks for no key.
    pub(crate) fn anyone() -> Self {
        Self { namespace: None, scopes: Scope::ALL.to_vec(), key_id: None }
    }

    /// The namespace as it is kept.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// How events name whoever did something.
    pub(crate) fn name(&self) -> String {
        self.key_id.as_ref().map_or_else(|| "api".to_owned(), |key| format!("key:{key}"))
    }

    fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The route that a request is for; among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked(pub(crate) &'static Route);

/// Lets through who may, and says who it is.
pub(crate) async fn guard(
    State((gateway, route)): State<(Gateway, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Asked(route));
    if let Some(scope) = route.scope {
        let caller = match identify(&gateway, &request) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.into_response(),
        };
        if !caller.may(scope) {
            let detail = format!("{} needs the scope {}", route.id, scope.as_str());
            return Refusal::new(ErrorCode::ScopeMissing, detail).into_response();
        }
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// Who sent the request.
#[expect(clippy::unnecessary_wraps, reason = "keys are refused here once there are keys")]
fn identify(_gateway: &Gateway, _request: &Request) -> Result<Caller, Refusal> {
    Ok(Caller::anyone())
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Only where a route that is open to anyone asks who calls.
        caller.ok_or_else(|| Refusal::new(ErrorCode::TokenInvalid, "nobody said who calls"))
    }
}
