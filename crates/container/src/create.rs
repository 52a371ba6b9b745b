//! Configuration of a container, as the engine takes it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
};
use errand_agent::target::{LaunchSpec, SharedAccess};
use errand_api::agent_file::{ContainerPlace, ContainerPort, kept_capabilities};
use errand_shim::file;

use crate::image::FoundImage;
use crate::shim::ContainerPrograms;

/// Name of the target.
pub(crate) const NAME: &str = "container";
/// Label with the id of the run.
pub(crate) const RUN_LABEL: &str = "dev.errand.run";
/// Label with the number of the attempt.
pub(crate) const ATTEMPT_LABEL: &str = "dev.errand.attempt";
/// Label with the path of the registry.
pub(crate) const REGISTRY_LABEL: &str = "dev.errand.registry";
/// Seconds that an engine waits before it kills a container that it stops by itself.
const STOP_SECONDS: i64 = 10;
/// Billionths of a core in a thousandth.
const NANO_PER_MILLI: i64 = 1_000_000;
/// Processes and threads of a container, unless the agent file says otherwise.
const PIDS: u32 = 4_096;
/// Folder that stays writable where the image's files are not.
const SCRATCH: &str = "/tmp";
/// Address at which ports are published: this machine alone.
const HERE: &str = "127.0.0.1";

/// Returns the name of the container of an attempt.
pub(crate) fn name(spec: &LaunchSpec) -> String {
    format!("errand-{}-{}", spec.run_id, spec.attempt)
}

/// Returns the port as engines write it.
pub(crate) fn port_key(port: &ContainerPort) -> String {
    format!("{}/{}", port.container_port, port.protocol.name())
}

/// Returns the configuration of the container of an attempt. Neither command nor environment of the
/// agent are in it.
pub(crate) fn configuration(
    (spec, place): (&LaunchSpec, &ContainerPlace),
    image: &FoundImage,
    programs: &ContainerPrograms,
    (control, registry): (&Path, &str),
) -> ContainerCreateBody {
    let labels = [
        (RUN_LABEL, spec.run_id.to_string()),
        (ATTEMPT_LABEL, spec.attempt.to_string()),
        (REGISTRY_LABEL, registry.to_owned()),
    ];
    let ports = &place.ports;
    let published = |port: &ContainerPort| {
        let binding =
            PortBinding { host_ip: Some(HERE.to_owned()), host_port: Some(String::new()) };
        (port_key(port), Some(vec![binding]))
    };
    let memory = spec.memory_limit_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let cpu = spec.cpu_millis.and_then(|millis| i64::try_from(millis).ok());
    let security = ["no-new-privileges", "label=disable"].map(str::to_owned);
    ContainerCreateBody {
        image: Some(image.id.clone()),
        user: place.user.clone(),
        entrypoint: Some(vec![file::SHIM.to_owned(), "run".to_owned()]),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
        exposed_ports: (!ports.is_empty()).then(|| ports.iter().map(port_key).collect()),
        stop_timeout: Some(STOP_SECONDS),
        host_config: Some(HostConfig {
            mounts: Some(mounts(spec, place, programs, control)),
            network_mode: Some(place.network.name().to_owned()),
            port_bindings: (!ports.is_empty()).then(|| ports.iter().map(published).collect()),
            memory,
            memory_swap: memory,
            nano_cpus: cpu.map(|millis| millis.saturating_mul(NANO_PER_MILLI)),
            pids_limit: Some(spec.pids.unwrap_or(PIDS).into()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(kept_capabilities(place.capabilities.as_deref())),
            readonly_rootfs: Some(place.read_only_root),
            tmpfs: place.read_only_root.then(|| scratch(place)),
            runtime: place.runtime.clone(),
            security_opt: Some(security.to_vec()),
            // Output goes through the shim.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: Some(HashMap::new()),
            }),
            auto_remove: Some(false),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Returns the writable folder of a container whose image is read-only, unless the agent file mounts it.
fn scratch(place: &ContainerPlace) -> HashMap<String, String> {
    let is_mounted = place.mounts.iter().any(|it| it.target.trim_end_matches('/') == SCRATCH);
    let folder =
        (!is_mounted).then(|| (SCRATCH.to_owned(), "rw,nosuid,nodev,mode=1777".to_owned()));
    folder.into_iter().collect()
}

fn mounts(
    spec: &LaunchSpec,
    place: &ContainerPlace,
    programs: &ContainerPrograms,
    control: &Path,
) -> Vec<Mount> {
    // One mount for each path in the container; of two, the one with more access counts.
    let mut by_target: BTreeMap<String, (String, bool)> = BTreeMap::new();
    let mut add = |source: &Path, target: String, is_read_only: bool| {
        let source = source.display().to_string();
        let mount = by_target.entry(target).or_insert((source, is_read_only));
        mount.1 &= is_read_only;
    };
    for shared in &spec.shared {
        let target = shared.path.display().to_string();
        add(&shared.path, target, shared.access == SharedAccess::Read);
    }
    add(&spec.cwd, spec.cwd.display().to_string(), false);
    for mount in &place.mounts {
        let target = mount.target.trim_end_matches('/').to_owned();
        add(&spec.cwd.join(&mount.source), target, mount.read_only);
    }
    for (program, inside) in &programs.files {
        add(program, inside.clone(), true);
    }
    add(control, file::CONTROL.to_owned(), false);
    let mount = |(target, (source, is_read_only))| Mount {
        typ: Some(MountType::BIND),
        source: Some(source),
        target: Some(target),
        read_only: Some(is_read_only),
        ..Mount::default()
    };
    by_target.into_iter().map(mount).collect()
}
