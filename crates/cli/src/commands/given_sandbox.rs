//! Value of `--sandbox`.

use std::path::Path;
use std::str::FromStr;

use errand_api::agent_file::{EgressPattern, SandboxFilesystem, SandboxNetwork, SandboxRules};

/// Restrictions of a command, as they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenSandbox {
    rules: SandboxRules,
    /// Hosts that the command may reach.
    egress: Vec<String>,
}

impl GivenSandbox {
    /// Returns the restrictions, with the paths of a process that is in `folder`.
    pub(super) fn in_folder(&self, folder: &Path) -> SandboxRules {
        let whole = |path: &String| {
            if path.starts_with("~/") {
                return path.clone();
            }
            folder.join(path).display().to_string()
        };
        let SandboxRules { filesystem, network, read, write } = &self.rules;
        SandboxRules {
            filesystem: *filesystem,
            network: *network,
            read: read.iter().map(whole).collect(),
            write: write.iter().map(whole).collect(),
        }
    }

    /// Returns the patterns of hosts that the command may reach.
    pub(super) fn egress(&self) -> &[String] {
        &self.egress
    }
}

impl FromStr for GivenSandbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mut sandbox = SandboxRules {
            filesystem: filesystem(parts.next().unwrap_or_default())?,
            ..SandboxRules::default()
        };
        let (mut egress, mut given_network) = (Vec::new(), None);
        for part in parts {
            match part.split_once('=') {
                Some(("network", name)) => given_network = Some(network(name)?),
                Some(("egress", host)) => {
                    EgressPattern::parse(host)
                        .map_err(|problem| format!("egress={host}: {problem}"))?;
                    egress.push(host.to_owned());
                }
                Some(("read", path)) if !path.is_empty() => sandbox.read.push(path.to_owned()),
                Some(("write", path)) if !path.is_empty() => sandbox.write.push(path.to_owned()),
                Some((other, _)) => {
                    return Err(format!(
                        "{other:?} is not known here: network, egress, read, write"
                    ));
                }
                None => return Err(format!("{part:?} is no NAME=VALUE")),
            }
        }
        sandbox.network = match (given_network, egress.is_empty()) {
            (None | Some(SandboxNetwork::Gateway), false) => SandboxNetwork::Gateway,
            (Some(SandboxNetwork::Host | SandboxNetwork::None), false) => {
                return Err("egress=HOST needs network=gateway".to_owned());
            }
            (given, true) => given.unwrap_or_default(),
        };
        Ok(Self { rules: sandbox, egress })
    }
}

fn filesystem(name: &str) -> Result<SandboxFilesystem, String> {
    let name = name.replace('-', "_");
    let found = SandboxFilesystem::ALL.into_iter().find(|known| known.name() == name);
    let known = SandboxFilesystem::ALL.map(SandboxFilesystem::name).join(", ");
    found.ok_or_else(|| format!("write one of {known}, such as workspace,network=none"))
}

fn network(name: &str) -> Result<SandboxNetwork, String> {
    let found = SandboxNetwork::ALL.into_iter().find(|known| known.name() == name);
    let known = SandboxNetwork::ALL.map(SandboxNetwork::name).join(", ");
    found.ok_or_else(|| format!("{name:?} is no network of a sandbox: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_read_with_its_paths() {
        let given: GivenSandbox =
            "read-only,network=none,read=data,write=/srv/x,write=~/y".parse().unwrap();
        let sandbox = given.in_folder(Path::new("/here"));
        assert_eq!(sandbox.filesystem, SandboxFilesystem::ReadOnly);
        assert_eq!(sandbox.network, SandboxNetwork::None);
        assert_eq!(sandbox.read, ["/here/data"]);
        assert_eq!(sandbox.write, ["/srv/x", "~/y"]);
        let given: GivenSandbox = "workspace,egress=*.a.b,egress=c:22".parse().unwrap();
        assert_eq!(given.in_folder(Path::new("/")).network, SandboxNetwork::Gateway);
        assert_eq!(given.egress(), ["*.a.b", "c:22"]);
    }

    #[test]
    fn what_is_no_sandbox_is_refused_with_what_is() {
        for (text, expect) in [
            ("all", "write one of host, read_only, workspace, such as workspace,network=none"),
            ("workspace,network=lan", "\"lan\" is no network of a sandbox: host, gateway, none"),
            ("workspace,disk=1", "\"disk\" is not known here: network, egress, read, write"),
            ("workspace,none", "\"none\" is no NAME=VALUE"),
            ("workspace,read=", "\"read\" is not known here: network, egress, read, write"),
            ("workspace,network=none,egress=a.b", "egress=HOST needs network=gateway"),
            (
                "workspace,egress=http://a",
                "egress=http://a: write a host without http://, such as example.com or \
                 example.com:8080",
            ),
        ] {
            assert_eq!(text.parse::<GivenSandbox>().unwrap_err(), expect, "{text}");
        }
    }
}
