//! All settings.

use super::kind::SettingKind;
use super::setting::Setting;

const fn plain(
    path: &'static str,
    flag: &'static str,
    variables: &'static [&'static str],
    kind: SettingKind,
    says: &'static str,
) -> Setting {
    let flag = Some(flag);
    let (default, is_worker, is_secret) = (None, false, false);
    Setting { path, flag, variables, kind, default, is_worker, is_secret, says }
}

impl Setting {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    const fn worker(self) -> Self {
        Self { is_worker: true, ..self }
    }

    const fn without_flag(self) -> Self {
        Self { flag: None, ..self }
    }
}

/// Every setting, in the order in which it is shown.
pub const SETTINGS: &[Setting] = &[
    plain("listen", "listen", &["ERRAND_LISTEN"], SettingKind::Text, "where the server listens")
        .or("127.0.0.1:7070"),
    plain(
        "metrics_listen",
        "metrics-listen",
        &["ERRAND_METRICS_LISTEN"],
        SettingKind::Text,
        "where /metrics is served without a key, apart from everything else",
    )
    .worker(),
    plain(
        "database",
        "database",
        &["ERRAND_DATABASE"],
        SettingKind::Text,
        "a PostgreSQL database (postgres://…); without it the registry's own",
    )
    .worker()
    .secret(),
    plain(
        "blobs",
        "blobs",
        &["ERRAND_BLOBS"],
        SettingKind::PathOrUrl,
        "where blobs are kept: a folder, or s3://bucket/prefix; without it where the registry keeps them",
    )
    .worker(),
    plain(
        "agents",
        "agents",
        &["ERRAND_AGENTS"],
        SettingKind::Paths,
        "folders whose agents are registered at the start and when they change",
    ),
    plain(
        "worker_name",
        "worker-name",
        &["ERRAND_WORKER_NAME"],
        SettingKind::Text,
        "the worker's name; without it the machine's, with the process's number",
    )
    .worker(),
    plain(
        "slots",
        "slots",
        &["ERRAND_SLOTS"],
        SettingKind::Whole(0, 10_000),
        "runs that the worker executes at once; without it one for each core, at least 4",
    )
    .worker(),
    plain(
        "labels",
        "label",
        &["ERRAND_LABELS"],
        SettingKind::Words,
        "what the worker says of itself, for agents that ask for it",
    )
    .worker(),
    plain(
        "resources.cpu",
        "cpu",
        &["ERRAND_CPU"],
        SettingKind::Cpu,
        "cores that runs may ask for, such as 4 or 500m; without any of these three, none are counted",
    )
    .worker(),
    plain(
        "resources.memory",
        "memory",
        &["ERRAND_MEMORY"],
        SettingKind::Bytes,
        "memory that runs may ask for, such as 16Gi",
    )
    .worker(),
    plain(
        "resources.gpu",
        "gpu",
        &["ERRAND_GPU"],
        SettingKind::Whole(0, 1_024),
        "graphics processors that runs may ask for",
    )
    .worker(),
    plain(
        "lease",
        "lease",
        &["ERRAND_LEASE"],
        SettingKind::Duration,
        "how long a worker that is not heard of keeps its runs",
    )
    .worker()
    .or("15s"),
    plain(
        "drain_timeout",
        "drain-timeout",
        &["ERRAND_DRAIN_TIMEOUT"],
        SettingKind::Delay,
        "on SIGTERM, how long runs may go on by themselves before their agents are asked to end",
    )
    .worker()
    .or("0s"),
    plain(
        "retention",
        "retention",
        &["ERRAND_RETENTION"],
        SettingKind::Duration,
        "how long runs are kept that are over; without it until somebody removes them",
    ),
    plain(
        "limits.requests_per_second",
        "requests-per-second",
        &["ERRAND_REQUESTS_PER_SECOND"],
        SettingKind::Whole(1, 1_000_000),
        "requests that one API key may make, over time",
    )
    .or("5000"),
    plain(
        "limits.burst",
        "burst",
        &["ERRAND_BURST"],
        SettingKind::Whole(1, 1_000_000),
        "requests that it may make at once",
    )
    .or("10000"),
    plain(
        "limits.connections",
        "max-connections",
        &["ERRAND_MAX_CONNECTIONS"],
        SettingKind::Whole(1, 100_000),
        "connections that are open at once",
    )
    .or("4096"),
    plain(
        "limits.body",
        "max-body",
        &["ERRAND_MAX_BODY"],
        SettingKind::Bytes,
        "the largest body of a request, archives of agents excepted",
    )
    .or("16Mi"),
    plain(
        "limits.headers",
        "max-headers",
        &["ERRAND_MAX_HEADERS"],
        SettingKind::Bytes,
        "the largest head of a request",
    )
    .or("32Ki"),
    plain(
        "limits.header_timeout",
        "header-timeout",
        &["ERRAND_HEADER_TIMEOUT"],
        SettingKind::Duration,
        "how long a client may take to send the head of a request",
    )
    .or("10s"),
    plain(
        "limits.output",
        "max-output",
        &["ERRAND_MAX_OUTPUT"],
        SettingKind::Bytes,
        "the largest output of a run: its stdout, $ERRAND_OUTPUT, or what it sets",
    )
    .worker()
    .or("64Mi"),
    plain("namespaces", "", &[], SettingKind::Namespaces, "what each namespace may do at most")
        .without_flag(),
    plain(
        "callbacks.allow",
        "allow-callback",
        &["ERRAND_CALLBACKS_ALLOW"],
        SettingKind::Texts,
        "private addresses and networks that reports may be sent to all the same",
    ),
    plain(
        "otlp.endpoint",
        "otlp-endpoint",
        &[
            "ERRAND_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ],
        SettingKind::Text,
        "where traces are sent, over OTLP/HTTP",
    ),
    plain(
        "otlp.headers",
        "otlp-header",
        &["ERRAND_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
        SettingKind::Words,
        "headers that are sent with them",
    )
    .secret(),
    plain(
        "otlp.service_name",
        "otlp-service-name",
        &["ERRAND_OTLP_SERVICE_NAME", "OTEL_SERVICE_NAME"],
        SettingKind::Text,
        "the name of the service that they are of: errand if left out",
    ),
    plain(
        "otlp.resource",
        "otlp-resource",
        &["ERRAND_OTLP_RESOURCE", "OTEL_RESOURCE_ATTRIBUTES"],
        SettingKind::Words,
        "more attributes of that service",
    ),
    plain(
        "tls.cert",
        "tls-cert",
        &["ERRAND_TLS_CERT"],
        SettingKind::Path,
        "the server's certificate with those that lead to its root, PEM",
    ),
    plain("tls.key", "tls-key", &["ERRAND_TLS_KEY"], SettingKind::Path, "its private key, PEM"),
    plain(
        "log.format",
        "log-format",
        &["ERRAND_LOG_FORMAT"],
        SettingKind::Choice(&["text", "json"]),
        "how the server's own log is written",
    )
    .worker()
    .or("text"),
    plain(
        "log.level",
        "log-level",
        &["ERRAND_LOG_LEVEL"],
        SettingKind::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        "how much of it",
    )
    .worker()
    .or("info"),
];

/// The setting of that name.
pub fn setting(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_can_be_read_and_no_name_is_used_twice() {
        let mut names = BTreeSet::new();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                assert!(setting.kind.read(default).is_ok(), "{}", setting.path);
            }
            assert!(names.insert(setting.path), "{}", setting.path);
            for variable in setting.variables {
                assert!(names.insert(variable), "{variable}");
            }
            if let Some(flag) = setting.flag.filter(|flag| *flag != setting.path) {
                assert!(names.insert(flag), "{flag}");
            }
        }
    }
}
