//! Images: found, pulled, and pinned by digest.

use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptions;
use errand_agent::target::{StartWaits, TargetStartError};
use errand_api::agent_file::{ContainerPlace, PullPolicy};
use errand_model::error_code::ErrorCode;
use errand_model::event::PinnedImage;
use futures_util::StreamExt as _;

use crate::engine::{ContainerEngine, status, text};

/// Status of an answer about something that does not exist.
pub(crate) const NOT_FOUND: u16 = 404;

/// Parts of the reasons of engines for which a later pull may do.
const PASSING: [&str; 12] = [
    "connection refused",
    "connection reset",
    "network is unreachable",
    "no route to host",
    "timeout",
    "deadline exceeded",
    "unexpected eof",
    "toomanyrequests",
    "too many requests",
    "bad gateway",
    "service unavailable",
    "internal server error",
];

/// Image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundImage {
    /// Id, by which containers are created: a tag may move meanwhile.
    pub(crate) id: String,
    /// Reference with the digest of the registry, or else the id.
    pub(crate) pinned: String,
    /// User of the image; empty for root.
    pub(crate) user: String,
    /// Command of the image.
    pub(crate) command: Vec<String>,
}

/// Returns the image of a place; pulls it as the agent file says, and tells `waits` so.
///
/// # Errors
///
/// `image_not_found`, `image_unavailable`, `engine_unreachable`.
pub(crate) async fn find(
    engine: &ContainerEngine,
    place: &ContainerPlace,
    waits: &StartWaits,
) -> Result<FoundImage, TargetStartError> {
    let ContainerPlace { image, pull, .. } = place;
    if *pull == PullPolicy::Always {
        self::pull(engine, image, waits).await?;
    }
    match engine.docker.inspect_image(image).await {
        Ok(found) => return usable(image, found),
        Err(error) if status(&error) != Some(NOT_FOUND) => {
            return Err(engine.refusal(&format!("inspect the image {image}"), &error));
        }
        Err(_) if *pull != PullPolicy::IfMissing => {
            let reason = "the engine does not have it, and the agent file says `pull: never`";
            return Err(not_found(image, reason));
        }
        Err(_) => {}
    }
    usable(image, pulled(engine, image, waits).await?)
}

/// Returns the image that the first attempt of a run has resolved, whatever its name stands for now. It is
/// fetched by its digest if the engine does not have it and the agent file allows that.
///
/// # Errors
///
/// As [`find`].
pub(crate) async fn find_pinned(
    engine: &ContainerEngine,
    (place, pinned): (&ContainerPlace, &PinnedImage),
    waits: &StartWaits,
) -> Result<FoundImage, TargetStartError> {
    let PinnedImage { reference, digest, id } = pinned;
    for name in [id, digest] {
        match engine.docker.inspect_image(name).await {
            Ok(found) => {
                // A tag that has moved leaves no digest at the image.
                return Ok(FoundImage { pinned: digest.clone(), ..usable(reference, found)? });
            }
            Err(error) if status(&error) == Some(NOT_FOUND) => {}
            Err(error) => {
                return Err(engine.refusal(&format!("inspect the image {name}"), &error));
            }
        }
    }
    if place.pull == PullPolicy::Never || !digest.contains('@') {
        let reason =
            format!("the run began with {digest}, which the engine does not have any more");
        return Err(not_found(reference, &reason));
    }
    let found = pulled(engine, digest, waits).await?;
    Ok(FoundImage { pinned: digest.clone(), ..usable(reference, found)? })
}

/// Pulls an image, and returns what the engine then has under its name.
async fn pulled(
    engine: &ContainerEngine,
    name: &str,
    waits: &StartWaits,
) -> Result<ImageInspect, TargetStartError> {
    pull(engine, name, waits).await?;
    let found = engine.docker.inspect_image(name).await;
    found.map_err(|error| engine.refusal(&format!("inspect the image {name}"), &error))
}

/// Returns a found image, if programs of it can run on this machine.
fn usable(image: &str, found: ImageInspect) -> Result<FoundImage, TargetStartError> {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let (os, architecture) = (found.os.as_deref(), found.architecture.as_deref());
    let is_other =
        |given: Option<&str>, own: &str| given.is_some_and(|it| !it.is_empty() && it != own);
    if is_other(os, "linux") || is_other(architecture, own) {
        let message = format!(
            "the image {image} is for {}/{}, and this machine is linux/{own}: name an image for that \
             platform",
            os.unwrap_or("linux"),
            architecture.unwrap_or(own)
        );
        return Err(TargetStartError::Refused { code: ErrorCode::ContainerRefused, message });
    }
    Ok(found_image(image, found))
}

async fn pull(
    engine: &ContainerEngine,
    image: &str,
    waits: &StartWaits,
) -> Result<(), TargetStartError> {
    waits.tell("ImagePull", image);
    let options =
        CreateImageOptions { from_image: Some(with_tag(image)), ..CreateImageOptions::default() };
    // What cannot be read may not be needed: the registry decides.
    let (credentials, unread) = match engine.credentials.of_image(image).await {
        Ok(credentials) => (credentials, None),
        Err(reason) => (None, Some(reason)),
    };
    let not_pulled = |reason: &str| match &unread {
        Some(unread) => not_pulled(image, &format!("{reason} (without credentials: {unread})")),
        None => not_pulled(image, reason),
    };
    let mut progress = engine.docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        match step {
            Ok(step) => {
                if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
                    return Err(not_pulled(&message));
                }
            }
            Err(
                error @ (Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. }),
            ) => {
                return Err(not_pulled(&text(&error)));
            }
            Err(error) => return Err(engine.refusal(&format!("pull the image {image}"), &error)),
        }
    }
    Ok(())
}

/// Returns the reference with the usual tag, if it has none: without one, all tags would be pulled.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Returns the refusal for an image that could not be pulled, by the engine's reason.
fn not_pulled(image: &str, reason: &str) -> TargetStartError {
    let reason_in_lower_case = reason.to_ascii_lowercase();
    let passes = PASSING.iter().any(|part| reason_in_lower_case.contains(part));
    // Images of that name are in the engine alone.
    if !passes || image.starts_with("localhost/") {
        return not_found(image, reason);
    }
    let message = format!("the image {image} cannot be pulled now: {reason}");
    TargetStartError::Refused { code: ErrorCode::ImageUnavailable, message }
}

fn not_found(image: &str, reason: &str) -> TargetStartError {
    let message = format!("the image {image} was not found: {reason}");
    TargetStartError::Refused { code: ErrorCode::ImageNotFound, message }
}

fn found_image(image: &str, found: ImageInspect) -> FoundImage {
    let id = found.id.unwrap_or_else(|| image.to_owned());
    let digests = found.repo_digests.unwrap_or_default();
    let name = image.split('@').next().unwrap_or(image);
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    };
    let of_name = |digest: &&String| {
        digest
            .split('@')
            .next()
            .is_some_and(|it| it == repository || it.ends_with(&format!("/{repository}")))
    };
    let pinned = digests.iter().find(of_name).or(digests.first()).unwrap_or(&id).clone();
    let config = found.config.unwrap_or_default();
    let command = config.entrypoint.into_iter().chain(config.cmd).flatten().collect();
    FoundImage { pinned, user: config.user.unwrap_or_default(), command, id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(image: &str, digests: &[&str], expect: &str) {
        let digests = digests.iter().map(|&text| text.to_owned()).collect();
        let found = ImageInspect {
            id: Some("sha256:1".to_owned()),
            repo_digests: Some(digests),
            ..ImageInspect::default()
        };
        assert_eq!(found_image(image, found).pinned, expect);
    }

    #[test]
    fn an_image_is_pinned_by_the_digest_that_its_registry_has() {
        check("ghcr.io/a/b:1", &["ghcr.io/a/b@sha256:2"], "ghcr.io/a/b@sha256:2");
        check(
            "b:1",
            &["x/y@sha256:3", "docker.io/library/b@sha256:2"],
            "docker.io/library/b@sha256:2",
        );
        check("localhost:5000/b", &["localhost:5000/b@sha256:2"], "localhost:5000/b@sha256:2");
        check("local", &[], "sha256:1");
    }

    #[test]
    fn an_image_for_another_platform_is_refused() {
        let check = |os: &str, architecture: &str| {
            let (os, architecture) = (Some(os.to_owned()), Some(architecture.to_owned()));
            usable("b:1", ImageInspect { os, architecture, ..ImageInspect::default() }).is_ok()
        };
        assert!(check("", ""));
        assert!(!check("linux", "s390x") && !check("windows", "amd64"));
    }

    #[test]
    fn a_registry_that_does_not_answer_now_is_told_from_an_image_that_does_not_exist() {
        let check = |image: &str, reason: &str| {
            let TargetStartError::Refused { code, .. } = not_pulled(image, reason) else {
                return ErrorCode::Internal;
            };
            code
        };
        let refused = "dial tcp 10.0.0.1:443: connect: connection refused";
        assert_eq!(check("ghcr.io/a/b:1", refused), ErrorCode::ImageUnavailable);
        let limited = "toomanyrequests: You have reached your pull rate limit";
        assert_eq!(check("b:1", limited), ErrorCode::ImageUnavailable);
        assert_eq!(check("localhost/b:1", refused), ErrorCode::ImageNotFound);
        let unknown = "manifest unknown: manifest unknown";
        assert_eq!(check("ghcr.io/a/b:1", unknown), ErrorCode::ImageNotFound);
    }

    #[test]
    fn a_reference_without_tag_means_the_latest() {
        assert_eq!(with_tag("localhost:5000/b"), "localhost:5000/b:latest");
        assert_eq!(with_tag("b:1"), "b:1");
        assert_eq!(with_tag("b@sha256:1"), "b@sha256:1");
    }
}
