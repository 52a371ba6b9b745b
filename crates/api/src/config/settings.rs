//! The configuration as those use it who are configured.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use errand_model::placement::Resources;
use thiserror::Error;

use super::kind::{NamespaceLimits, SettingValue};

/// Settings of a server and a worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the server.
    pub listen: String,
    /// Address of metrics without a key; `None`: none.
    pub metrics_listen: Option<String>,
    /// `None`: the registry's own.
    pub database: Option<String>,
    /// Place of the blobs; `None`: the recorded one, or else the registry.
    pub blobs: Option<String>,
    /// Folders whose agents are registered.
    pub agents: Vec<PathBuf>,
    /// `None`: the machine's, with the process's number.
    pub worker_name: Option<String>,
    /// `None`: one per core.
    pub slots: Option<u32>,
    /// Labels of the worker.
    pub labels: BTreeMap<String, String>,
    /// Resources that runs may ask for; `None`: not counted.
    pub resources: Option<Resources>,
    /// Time for which a worker without a heartbeat keeps its runs.
    pub lease: Duration,
    /// Time that runs have to end after the worker is asked to shut down.
    pub drain_timeout: Duration,
    /// Time for which terminal runs are kept; `None`: until they are removed by hand.
    pub retention: Option<Duration>,
    /// Limits of clients.
    pub limits: LimitSettings,
    /// By the name of the namespace.
    pub namespaces: BTreeMap<String, NamespaceLimits>,
    /// Private places that reports may go to all the same.
    pub callbacks_allow: Vec<String>,
    /// Destination of traces; `None`: none.
    pub otlp: Option<Otlp>,
    /// With what the server proves who it is; `None`: it does not.
    pub tls: Option<Tls>,
    /// Format of the process's own log.
    pub log: LogSettings,
}

/// Limits of a server's clients.
#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    /// Requests of one key, over time.
    pub requests_per_second: u32,
    /// Requests of one key at once.
    pub burst: u32,
    /// Connections that are open at once.
    pub connections: u32,
    /// The largest body.
    pub body_bytes: u64,
    /// The largest head.
    pub header_bytes: u64,
    /// Time limit of a request's head.
    pub header_timeout: Duration,
    /// The largest output of a run that is carried out here.
    pub output_bytes: u64,
}

/// Destination of traces.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// The address of the collector.
    pub endpoint: String,
    /// Headers that are sent along; secrets.
    pub headers: BTreeMap<String, String>,
    /// `service.name` of what is sent; `None`: that of `resource`, else `errand`.
    pub service_name: Option<String>,
    /// Attributes of the resource; values are escaped as in URLs.
    pub resource: BTreeMap<String, String>,
}

/// With what a server proves who it is.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate with those that lead to its root, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Format of the process's own log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// As `tracing` names it.
    pub level: String,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// JSON, an object a line.
    Json,
}

/// Settings that do not go together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Contradiction {
    /// A certificate without its key, or the other way round.
    #[error("tls.cert and tls.key are only of use together")]
    HalfTls,
}

impl Settings {
    /// Builds the settings from values; `value` finds one by the setting's name.
    ///
    /// # Errors
    ///
    /// [`Contradiction`].
    pub fn of<'v>(value: impl Fn(&str) -> Option<&'v SettingValue>) -> Result<Self, Contradiction> {
        let from = Values(value);
        Ok(Self {
            listen: from.text("listen").unwrap_or_default(),
            metrics_listen: from.text("metrics_listen"),
            database: from.text("database"),
            blobs: from.text("blobs"),
            agents: from.texts("agents").into_iter().map(PathBuf::from).collect(),
            worker_name: from.text("worker_name"),
            slots: from.number("slots").map(saturated),
            labels: from.words("labels"),
            resources: from.resources(),
            lease: from.duration("lease"),
            drain_timeout: from.duration("drain_timeout"),
            retention: from.number("retention").map(Duration::from_millis),
            limits: from.limits(),
            namespaces: from.namespaces(),
            callbacks_allow: from.texts("callbacks.allow"),
            otlp: from.otlp(),
            tls: from.tls()?,
            log: from.log(),
        })
    }
}

struct Values<F>(F);

impl<'v, F: Fn(&str) -> Option<&'v SettingValue>> Values<F> {
    fn text(&self, path: &str) -> Option<String> {
        match (self.0)(path)? {
            SettingValue::Text(text) => Some(text.clone()),
            SettingValue::Number(_)
            | SettingValue::Texts(_)
            | SettingValue::Words(_)
            | SettingValue::Namespaces(_) => None,
        }
    }

    fn number(&self, path: &str) -> Option<u64> {
        match (self.0)(path)? {
            SettingValue::Number(number) => Some(*number),
            SettingValue::Text(_)
            | SettingValue::Texts(_)
            | SettingValue::Words(_)
            | SettingValue::Namespaces(_) => None,
        }
    }

    fn whole(&self, path: &str) -> u32 {
        self.number(path).map_or(1, saturated)
    }

    fn duration(&self, path: &str) -> Duration {
        Duration::from_millis(self.number(path).unwrap_or(0))
    }

    fn texts(&self, path: &str) -> Vec<String> {
        match (self.0)(path) {
            Some(SettingValue::Texts(texts)) => texts.clone(),
            Some(
                SettingValue::Text(_)
                | SettingValue::Number(_)
                | SettingValue::Words(_)
                | SettingValue::Namespaces(_),
            )
            | None => Vec::new(),
        }
    }

    fn words(&self, path: &str) -> BTreeMap<String, String> {
        match (self.0)(path) {
            Some(SettingValue::Words(words)) => words.clone(),
            Some(
                SettingValue::Text(_)
                | SettingValue::Number(_)
                | SettingValue::Texts(_)
                | SettingValue::Namespaces(_),
            )
            | None => BTreeMap::new(),
        }
    }

    fn namespaces(&self) -> BTreeMap<String, NamespaceLimits> {
        match (self.0)("namespaces") {
            Some(SettingValue::Namespaces(limits)) => limits.clone(),
            Some(
                SettingValue::Text(_)
                | SettingValue::Number(_)
                | SettingValue::Texts(_)
                | SettingValue::Words(_),
            )
            | None => BTreeMap::new(),
        }
    }

    /// All three, once one of them is given: what is not limited does not limit.
    fn resources(&self) -> Option<Resources> {
        let (cpu, memory, gpu) = (
            self.number("resources.cpu"),
            self.number("resources.memory"),
            self.number("resources.gpu"),
        );
        [cpu, memory, gpu].iter().any(Option::is_some).then(|| Resources {
            cpu_millis: cpu.unwrap_or(u64::MAX),
            memory_bytes: memory.unwrap_or(u64::MAX),
            gpu: gpu.unwrap_or(0),
        })
    }

    fn limits(&self) -> LimitSettings {
        LimitSettings {
            requests_per_second: self.whole("limits.requests_per_second"),
            burst: self.whole("limits.burst"),
            connections: self.whole("limits.connections"),
            body_bytes: self.number("limits.body").unwrap_or(0),
            header_bytes: self.number("limits.headers").unwrap_or(0),
            header_timeout: self.duration("limits.header_timeout"),
            output_bytes: self.number("limits.output").unwrap_or(u64::MAX),
        }
    }

    fn otlp(&self) -> Option<Otlp> {
        let endpoint = self.text("otlp.endpoint")?;
        Some(Otlp {
            endpoint,
            headers: self.words("otlp.headers"),
            service_name: self.text("otlp.service_name"),
            resource: self.words("otlp.resource"),
        })
    }

    fn tls(&self) -> Result<Option<Tls>, Contradiction> {
        match (self.text("tls.cert"), self.text("tls.key")) {
            (Some(cert), Some(key)) => Ok(Some(Tls { cert: cert.into(), key: key.into() })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(Contradiction::HalfTls),
        }
    }

    fn log(&self) -> LogSettings {
        let format = match self.text("log.format").as_deref() {
            Some("json") => LogFormat::Json,
            Some(_) | None => LogFormat::Text,
        };
        LogSettings { format, level: self.text("log.level").unwrap_or_else(|| "info".to_owned()) }
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
