//! Agents for tests: small programs with an agent file.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder with an `agent.yaml` and a script, before it is written.
#[derive(Clone, Debug)]
#[must_use = "an agent is nothing before it is written: see `Sandbox::agent`"]
pub struct TestAgent {
    name: String,
    command: String,
    script: (String, String),
    spec: Vec<String>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl TestAgent {
    /// Creates an agent with a script for `sh`, which stops at the first failing command.
    pub fn shell(script: &str) -> Self {
        Self::of("[sh, -e, agent.sh]", "agent.sh", script)
    }

    /// Creates an agent with a script for `python3`, without site packages, so that it starts fast.
    pub fn python(script: &str) -> Self {
        Self::of("[python3, -S, agent.py]", "agent.py", script)
    }

    /// Creates an agent with a command, as a YAML list, and no script.
    pub fn command(command: &str) -> Self {
        Self::of(command, "README", "An agent of a test.\n")
    }

    fn of(command: &str, file: &str, script: &str) -> Self {
        Self {
            name: "test-agent".to_owned(),
            command: command.to_owned(),
            script: (file.to_owned(), script.to_owned()),
            spec: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Sets the name, which is also the name of the folder; the default is `test-agent`.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Adds a line to `spec`, such as `timeouts: { run: 1s }`.
    pub fn spec(mut self, line: &str) -> Self {
        self.spec.push(line.to_owned());
        self
    }

    /// Adds a file to the folder.
    pub fn file(mut self, name: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// Returns the text of the agent file.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut lines = vec![
            "apiVersion: errand.dev/v1".to_owned(),
            "kind: Agent".to_owned(),
            format!("metadata: {{ name: {}, version: 1.0.0 }}", self.name),
            "spec:".to_owned(),
            format!("  command: {}", self.command),
        ];
        lines
            .extend(self.spec.iter().flat_map(|part| part.lines()).map(|line| format!("  {line}")));
        lines.join("\n") + "\n"
    }

    /// Writes the folder below `parent`, and overwrites existing files. Returns its path.
    pub fn write_below(&self, parent: &Path) -> PathBuf {
        let folder = parent.join(&self.name);
        let (script, content) = &self.script;
        let own = [
            (PathBuf::from("agent.yaml"), self.yaml().into_bytes()),
            (PathBuf::from(script), content.clone().into_bytes()),
        ];
        for (name, content) in own.iter().chain(&self.files) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&folder)).expect("the agent's folder");
            fs::write(&path, content).expect("a file of the agent");
        }
        folder
    }
}
