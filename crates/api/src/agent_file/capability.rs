//! Capabilities of Linux that an agent has in a container or a Pod.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::at::At;
use super::reader::Reader;
use super::scalar::scalars;
use super::shape::ReadNamed;

/// Capabilities of root in a container, unless the agent file says otherwise: files and processes of all users of
/// the image. Without them, package managers fail, and so do files of other users.
const USUAL: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];

/// Returns the capabilities that are not dropped, by those that the agent file names.
pub fn kept_capabilities(named: Option<&[String]>) -> Vec<String> {
    named.map_or_else(|| USUAL.map(str::to_owned).to_vec(), <[String]>::to_vec)
}

/// Capabilities of Linux, without the prefix `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

scalars! {
    /// A capability of Linux without `CAP_`.
    CapabilityName as "CapabilityName" = {
        "type": "string", "pattern": "^[A-Z_]+$", "examples": ["NET_BIND_SERVICE"]
    }, capability;
}

fn capability(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "write it in capitals and without CAP_, such as NET_BIND_SERVICE";
    let is_known = |text: &str| CAPABILITIES.contains(&text);
    reader.text_that(at, is_known, "is no capability of Linux", hint)
}
