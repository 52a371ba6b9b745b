//! Hooks.

use errand_api::gateway::hook::{
    Hook, HookDedupe, HookDelivery, HookEvents, HookOutcome, HookPlace, HookRequest, HookScheme,
    HookSignature,
};
use errand_model::parse_duration;

use crate::hooks::{
    Dedupe, Error, Events, HookDefinition, HookSecret, HookView, LoggedHookRequest, RequestField,
    Scheme, Signature,
};

/// Returns the document of a hook of a namespace; with its secret only for its creator.
pub fn hook(namespace: Option<&str>, view: HookView, secret: Option<&HookSecret>) -> Hook {
    let definition = view.definition;
    Hook {
        path: match namespace {
            Some(namespace) => format!("/v1/hooks/{namespace}/{}", view.name),
            None => format!("/v1/hooks/{}", view.name),
        },
        name: view.name,
        agent: definition.agent,
        signature: HookSignature {
            scheme: match definition.signature.scheme {
                Scheme::HmacSha256 => HookScheme::HmacSha256,
                Scheme::Github => HookScheme::Github,
                Scheme::StandardWebhooks => HookScheme::StandardWebhooks,
                Scheme::Token => HookScheme::Token,
            },
            header: definition.signature.header,
            prefix: definition.signature.prefix,
            secret: secret.map(|secret| secret.expose().to_owned()),
        },
        input: definition.input,
        dedupe: definition.dedupe.map(|dedupe| HookDedupe {
            key: shown_place(dedupe.key),
            window: format!("{}ms", dedupe.window_ms),
        }),
        events: definition
            .events
            .map(|events| HookEvents { from: events.from.map(shown_place), any_of: events.any_of }),
        labels: definition.labels,
        session_id: definition.session_id,
        enabled: definition.enabled,
        created_at_ms: view.created_at_ms.as_millis(),
        updated_at_ms: view.updated_at_ms.as_millis(),
    }
}

fn shown_place(place: RequestField) -> HookPlace {
    match place {
        RequestField::Header(header) => HookPlace { header: Some(header), pointer: None },
        RequestField::Pointer(pointer) => HookPlace { header: None, pointer: Some(pointer) },
    }
}

/// Returns the definition in a request to make a hook, and its secret apart from it.
///
/// # Errors
///
/// [`Error::Invalid`].
pub fn hook_definition(
    request: HookRequest,
) -> Result<(HookDefinition, Option<HookSecret>), Error> {
    let dedupe = request.dedupe.map(|dedupe| {
        let window = parse_duration(&dedupe.window).map_err(|error| Error::Invalid {
            pointer: "/dedupe/window".to_owned(),
            reason: error.to_string(),
        })?;
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Ok::<_, Error>(Dedupe { key: place(dedupe.key, "/dedupe/key")?, window_ms })
    });
    let events = request.events.map(|events| {
        let from = events.from.map(|from| place(from, "/events/from")).transpose()?;
        Ok::<_, Error>(Events { from, any_of: events.any_of })
    });
    let signature = Signature {
        scheme: match request.signature.scheme {
            HookScheme::HmacSha256 => Scheme::HmacSha256,
            HookScheme::Github => Scheme::Github,
            HookScheme::StandardWebhooks => Scheme::StandardWebhooks,
            HookScheme::Token => Scheme::Token,
        },
        header: request.signature.header.map(|header| header.to_lowercase()),
        prefix: request.signature.prefix,
    };
    let definition = HookDefinition {
        agent: request.agent,
        signature,
        input: request.input,
        dedupe: dedupe.transpose()?,
        events: events.transpose()?,
        labels: request.labels,
        session_id: request.session_id,
        enabled: request.enabled.unwrap_or(true),
    };
    Ok((definition, request.signature.secret.map(HookSecret::new)))
}

fn place(place: HookPlace, pointer: &str) -> Result<RequestField, Error> {
    match (place.header, place.pointer) {
        (Some(header), None) => Ok(RequestField::Header(header.to_lowercase())),
        (None, Some(pointer)) => Ok(RequestField::Pointer(pointer)),
        (Some(_), Some(_)) | (None, None) => Err(Error::Invalid {
            pointer: pointer.to_owned(),
            reason: "it is either a header or a pointer".to_owned(),
        }),
    }
}

/// Returns the document of a request to a hook.
pub fn hook_delivery(logged: LoggedHookRequest) -> HookDelivery {
    HookDelivery {
        id: logged.id,
        at_ms: logged.at_ms.as_millis(),
        outcome: match logged.outcome.as_str() {
            "created" => HookOutcome::Created,
            "coalesced" => HookOutcome::Coalesced,
            "skipped" => HookOutcome::Skipped,
            _ => HookOutcome::Rejected,
        },
        run_id: logged.run_id,
        reason: logged.reason,
        event: logged.event,
        remote: logged.remote,
        body_bytes: logged.body_bytes,
    }
}
