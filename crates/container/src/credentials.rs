//! Credentials of registries, as `docker login` and `podman login` leave them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest file that is read.
const LIMIT_BYTES: u64 = 1024 * 1024;
/// Time for a program that knows credentials to answer: it may have to unlock a keyring.
const HELPER_LIMIT: Duration = Duration::from_secs(20);
/// Registry of images whose names have none.
const HUB: &str = "docker.io";
/// Names under which `docker login` keeps the credentials of that registry.
const HUB_KEYS: [&str; 3] = ["https://index.docker.io/v1/", "index.docker.io", "docker.io"];
/// Name of the user where the secret is a token.
const TOKEN_USER: &str = "<token>";

/// Files with credentials, the one that counts most first.
#[derive(Clone, Debug, Default)]
pub struct CredentialFiles {
    /// Paths of the files; those that are missing are skipped.
    pub paths: Vec<PathBuf>,
    /// Search path for programs that know credentials.
    pub search_path: Option<OsString>,
}

/// File with credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CredentialFile {
    auths: BTreeMap<String, KeptCredential>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

/// Credential of one registry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeptCredential {
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Answer of a program that knows credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl CredentialFiles {
    /// Returns the credentials for an image; `None` if there are none.
    ///
    /// # Errors
    ///
    /// The reason, if a file or a program that is to have them cannot be used.
    pub(crate) async fn of_image(&self, image: &str) -> Result<Option<DockerCredentials>, String> {
        let keys = keys(image);
        for path in &self.paths {
            let failed = |reason: String| format!("{}: {reason}", path.display());
            let Some(file) = read(path).map_err(|error| failed(error.to_string()))? else {
                continue;
            };
            let found = self.of_file(&file, &keys).await.map_err(failed)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn of_file(
        &self,
        file: &CredentialFile,
        keys: &[String],
    ) -> Result<Option<DockerCredentials>, String> {
        for key in keys {
            let is_registry = !key.contains('/') || key.starts_with("https://");
            if let Some(helper) = file.cred_helpers.get(key)
                && let Some(found) = self.ask(helper, key).await?
            {
                return Ok(Some(found));
            }
            let kept = file.auths.get(key).or_else(|| {
                let is_url = |known: &&String| host_of(known) == *key;
                file.auths.iter().find(|(known, _)| is_url(known)).map(|(_, kept)| kept)
            });
            if let Some(found) = kept.map(|kept| kept.credentials(key)).transpose()?.flatten() {
                return Ok(Some(found));
            }
            if let Some(helper) = file.creds_store.as_ref().filter(|_| is_registry)
                && let Some(found) = self.ask(helper, key).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Asks `docker-credential-HELPER` for the credentials of a registry.
    async fn ask(&self, helper: &str, key: &str) -> Result<Option<DockerCredentials>, String> {
        let program = format!("docker-credential-{helper}");
        let failed = |reason: String| format!("{program}: {reason}");
        if helper.contains('/') {
            return Err(failed("the name of a helper has no slash".to_owned()));
        }
        let mut command = Command::new(&program);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        let mut asked =
            command.kill_on_drop(true).spawn().map_err(|error| failed(error.to_string()))?;
        if let Some(mut stdin) = asked.stdin.take() {
            // A program that needs no registry need not read it.
            drop(stdin.write_all(key.as_bytes()).await);
        }
        let answer = timeout(HELPER_LIMIT, asked.wait_with_output()).await;
        let answer = answer.map_err(|_| failed("it does not answer".to_owned()))?;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if !answer.status.success() {
            // It has none for this registry.
            return Ok(None);
        }
        let HelperAnswer { username, secret } = serde_json::from_slice(&answer.stdout)
            .map_err(|_| failed("its answer has no Username and Secret".to_owned()))?;
        Ok(Some(credentials(key, &username, secret)))
    }
}

impl KeptCredential {
    fn credentials(&self, key: &str) -> Result<Option<DockerCredentials>, String> {
        let token = |text: &Option<String>| text.clone().filter(|it| !it.is_empty());
        let (identitytoken, registrytoken) =
            (token(&self.identitytoken), token(&self.registrytoken));
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else {
            let has_token = identitytoken.is_some() || registrytoken.is_some();
            return Ok(has_token.then(|| DockerCredentials {
                identitytoken,
                registrytoken,
                serveraddress: Some(key.to_owned()),
                ..DockerCredentials::default()
            }));
        };
        let broken = || format!("the auth of {key} is no user and password in base64");
        let pair = BASE64_STANDARD.decode(auth).map_err(|_| broken())?;
        let pair = String::from_utf8(pair).map_err(|_| broken())?;
        let (user, password) = pair.split_once(':').ok_or_else(broken)?;
        let password = password.trim_end_matches('\0').to_owned();
        let found = credentials(key, user, password);
        Ok(Some(DockerCredentials {
            identitytoken: identitytoken.or(found.identitytoken.clone()),
            registrytoken,
            ..found
        }))
    }
}

fn credentials(key: &str, user: &str, secret: String) -> DockerCredentials {
    let serveraddress = Some(key.to_owned());
    if user == TOKEN_USER {
        let identitytoken = Some(secret);
        return DockerCredentials { identitytoken, serveraddress, ..DockerCredentials::default() };
    }
    let (username, password) = (Some(user.to_owned()), Some(secret));
    DockerCredentials { username, password, serveraddress, ..DockerCredentials::default() }
}

/// Reads a file. `None`: it is missing.
fn read(path: &Path) -> io::Result<Option<CredentialFile>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if found.len() > LIMIT_BYTES {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

/// Returns the names under which the credentials for an image may be kept, the most precise first: those of its
/// repository and of each folder above it, then those of its registry.
fn keys(image: &str) -> Vec<String> {
    let name = image.split('@').next().unwrap_or(image);
    let name = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    };
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let whole = match name.split_once('/') {
        Some((first, _)) if is_host(first) => name.to_owned(),
        Some(_) => format!("{HUB}/{name}"),
        None => format!("{HUB}/library/{name}"),
    };
    let mut keys: Vec<String> = Vec::new();
    let mut rest = whole.as_str();
    keys.push(rest.to_owned());
    while let Some((above, _)) = rest.rsplit_once('/') {
        keys.push(above.to_owned());
        rest = above;
    }
    if rest == HUB {
        keys.splice(keys.len() - 1.., HUB_KEYS.map(str::to_owned));
    }
    keys
}

/// Returns the host of a key, which old versions of Docker wrote as a URL.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    rest.map_or("", |rest| rest.split('/').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn found(text: &str, image: &str) -> Result<Option<DockerCredentials>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        let helper = folder.path().join("docker-credential-kept");
        let script = "#!/bin/sh\nread -r host\n[ \"$host\" = other.example ] && exit 1\n\
                      echo \"{\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"of $host\\\"}\"\n";
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let search_path = Some(format!("{}:/usr/bin:/bin", folder.path().display()).into());
        let missing = folder.path().join("none.json");
        CredentialFiles { paths: vec![missing, path], search_path }.of_image(image).await
    }

    fn user(found: Result<Option<DockerCredentials>, String>) -> Option<String> {
        found.unwrap().map(|it| format!("{}:{}", it.username.unwrap(), it.password.unwrap()))
    }

    #[tokio::test]
    async fn the_most_precise_credentials_of_an_image_are_found() {
        let auth = |pair: &str| BASE64_STANDARD.encode(pair);
        let text = format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{}"}},"ghcr.io/team":{{"auth":"{}"}},
               "https://old.example/v1/":{{"auth":"{}"}},"https://index.docker.io/v1/":{{"auth":"{}"}}}}}}"#,
            auth("a:1"),
            auth("b:2:3"),
            auth("c:4"),
            auth("d:5"),
        );
        for (image, expect) in [
            ("ghcr.io/org/x:1", Some("a:1")),
            ("ghcr.io/team/x@sha256:00", Some("b:2:3")),
            ("ghcr.io/teams/x", Some("a:1")),
            ("old.example/x", Some("c:4")),
            ("busybox", Some("d:5")),
            ("docker.io/org/x:1", Some("d:5")),
            ("localhost:5000/x:1", None),
            ("quay.io/x", None),
        ] {
            assert_eq!(user(found(&text, image).await).as_deref(), expect, "{image}");
        }
    }

    #[tokio::test]
    async fn a_helper_is_asked_and_one_without_an_answer_leaves_none() {
        let text = r#"{"credHelpers":{"r.example":"kept"},"credsStore":"kept"}"#;
        let token = found(text, "r.example/x:1").await.unwrap().unwrap().identitytoken;
        assert_eq!(token.as_deref(), Some("of r.example"));
        assert!(
            found(r#"{"credHelpers":{"other.example":"kept"}}"#, "other.example/x")
                .await
                .unwrap()
                .is_none()
        );
        let missing = r#"{"credHelpers":{"r.example":"missing"}}"#;
        assert!(
            found(missing, "r.example/x").await.unwrap_err().contains("docker-credential-missing")
        );
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_say_so() {
        for (text, reason) in [
            ("{", "config.json"),
            (r#"{"auths":{"r.example":{"auth":"%"}}}"#, "base64"),
            (r#"{"auths":{"r.example":{"auth":"YQ=="}}}"#, "base64"),
            (r#"{"credHelpers":{"r.example":"../x"}}"#, "slash"),
        ] {
            let error = found(text, "r.example/x").await.unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
