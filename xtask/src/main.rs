//! Developer commands of this repository: `cargo xtask ci|test|tidy|gen|bench|fuzz|dist`.
//!
//! Small on purpose, so that it builds in seconds. It reads `cargo metadata` and the tree, runs the
//! tools that a developer would run by hand, and prints each command before it runs it.

mod bench;
mod ci;
mod clients;
mod cyclonedx;
mod dist;
mod frameworks;
mod fuzz;
mod grpc;
mod kubernetes;
mod model_sdks;
mod moto;
mod node;
mod packages;
mod prometheus;
mod python;
mod reference;
mod schemathesis;
mod shell;
mod test;
mod tidy;
mod tool_sdks;

use std::process::ExitCode;

use bench::{Extent, SharesFile};
use test::Missing;

/// Error of a command, as a sentence for the person at the terminal.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
usage: cargo xtask <chore>

  ci             everything that must hold before a change is pushed: format, lints, tidy,
                 generated files, documentation, tests
  test [FILTER]  installs what tests need, builds, runs the tests (only those that match FILTER)
  test --kubernetes
                 runs the tests of the target kubernetes on a real API server, which is built once
  coding-agents  installs the coding agents that tests run if they are there (1.2 GB)
  tidy           rules that no compiler knows: dependencies, licences, sizes, lists that must be whole
  gen [--check]  writes docs/reference and the gRPC types; --check only compares
  bench [--quick [--save]]
                 builds the release and measures it against bench/shares.json; --quick takes
                 three minutes and measures the lines of that file, --save replaces the file
  fuzz SECONDS   searches for inputs that break the wire formats
  dist           builds the programs that are shipped, dynamic and static
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["ci"] => ci::run(),
        ["test"] => test::run(None, Missing::Skipped),
        ["test", "--kubernetes"] => kubernetes::run(),
        ["test", filter] => test::run(Some(filter), Missing::Skipped),
        ["coding-agents"] => node::install_agents(),
        ["tidy"] => tidy::run(),
        ["gen"] => reference::write(),
        ["gen", "--check"] => reference::check(),
        ["bench"] => bench::run(Extent::Full),
        ["bench", "--quick"] => bench::run(Extent::Quick(SharesFile::Compared)),
        ["bench", "--quick", "--save"] | ["bench", "--save", "--quick"] => {
            bench::run(Extent::Quick(SharesFile::Replaced))
        }
        ["fuzz", seconds] => fuzz::run(seconds),
        ["dist"] => dist::run(),
        ["help" | "--help" | "-h"] => {
            shell::say(USAGE);
            return ExitCode::SUCCESS;
        }
        [] | [_, ..] => {
            shell::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            shell::say(&format!("xtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}
