//! Model calls through the proxy of `LiteLLM`, beside ours through errand: the proxy keeps no record of them.
//!
//! The proxy is a Python program: `pip install 'litellm[proxy]'` into an environment of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::models;
use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::Floor;
use crate::lab::{self, Lab};
use crate::model_client::{self, Gateway, MODELS};
use crate::report::{Line, median};

/// Key that the proxy wants.
const KEY: &str = "sk-of-the-measurement";
/// Time for the proxy to start: it loads for some seconds.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Part of the calls that are made: it carries out far fewer of them in a second.
const CALLS_DIVISOR: u32 = 4;

/// A proxy that runs, and ends with this value.
struct Proxy {
    child: Child,
    address: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It has no state, and may be over.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let provider = model_client::provider()?;
    let proxy = start(arguments, &lab, &provider)?;
    let calls = usize::try_from(arguments.calls / CALLS_DIVISOR)?;
    let at = (proxy.address.as_str(), "/v1");
    // The path of Anthropic's messages has its version already.
    let gateway = Gateway { openai: at, anthropic: (at.0, ""), token: KEY };
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        floors.push(Floor::look(lab.folder())?.fsync.as_secs_f64());
        rounds.push(model_client::compare(&provider, gateway, calls)?.into());
    }
    let mut lines = models::lines("LiteLLM, ", &rounds, median(floors));
    let memory = lab::memory_kib(proxy.child.id().into(), "VmRSS")?;
    lines.push(Line {
        name: "LiteLLM: memory".to_owned(),
        measured: format!("{} MiB", memory / 1024),
        target: String::new(),
        floor: String::new(),
        share: None,
        note: "of the proxy, one worker".to_owned(),
    });
    // Its lines are there to compare with: no target is missed by them.
    for line in &mut lines {
        (line.share, line.target) = (None, String::new());
    }
    Ok(lines)
}

/// Starts the proxy in front of the provider, and waits until it answers.
fn start(arguments: &Arguments, lab: &Lab, provider: &str) -> Result<Proxy, Failure> {
    let [openai, anthropic] = MODELS;
    let base = format!("http://{provider}");
    let model = |name: &str, of: &str| {
        json!({
            "model_name": name,
            "litellm_params": { "model": format!("{of}/{name}"), "api_base": base, "api_key": KEY },
        })
    };
    let settings = json!({
        "model_list": [model(openai, "openai"), model(anthropic, "anthropic")],
        "general_settings": { "master_key": KEY },
    });
    let file = lab.folder().join("litellm.yaml");
    // JSON is YAML.
    std::fs::write(&file, settings.to_string())?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let program = &arguments.litellm;
    let child = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port, "--num_workers", "1", "--config"])
        .arg(&file)
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            format!(
                "{}: {error}; install it first: python3 -m venv bench/litellm && \
                 bench/litellm/bin/pip install 'litellm[proxy]'",
                program.display()
            )
        })?;
    let mut proxy = Proxy { child, address: format!("127.0.0.1:{port}") };
    let until = Instant::now() + START_LIMIT;
    while model_client::is_alive(&proxy.address).is_err() {
        if let Some(status) = proxy.child.try_wait()? {
            return Err(format!("{} ended: {status}", program.display()).into());
        }
        if Instant::now() > until {
            return Err("the proxy does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(proxy)
}
