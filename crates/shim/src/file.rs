//! Names of files in the control folder, and paths inside a container.

/// Pipe of orders to the shim.
pub const ORDERS: &str = "orders";
/// Pipe of reports of the shim: output of the command, and its end.
pub const REPORTS: &str = "reports";
/// File with the command's input; does not exist for an empty input or a conversation.
pub const INPUT: &str = "input";
/// Pipe to the command's stdin, for a conversation.
pub const STDIN: &str = "stdin";
/// Pipe from the command's stdout, for a conversation.
pub const STDOUT: &str = "stdout";
/// File that exists once the command was started.
pub const STARTED: &str = "started";
/// File with the last report, once the command has ended.
pub const ENDED: &str = "ended";

/// Folder of errand's own files in a container.
pub const HOME: &str = "/.errand";
/// The control folder in a container.
pub const CONTROL: &str = "/.errand/control";
/// The shim in a container, as the program of its first process.
pub const SHIM: &str = "/.errand/shim";
/// Folder in a container that comes first on the search path.
pub const PROGRAMS: &str = "/.errand/bin";
/// The shim in a container, as the program that agents call.
pub const ERRAND: &str = "/.errand/bin/errand";
/// The whole program in a container, which the shim starts for `errand agent`.
pub const WHOLE_PROGRAM: &str = "/.errand/whole/errand";
/// Folder of the libraries of the whole program.
pub const LIBRARIES: &str = "/.errand/lib";
/// Loader of the whole program; not there if that needs none.
pub const LOADER: &str = "/.errand/lib/ld.so";

/// Folder with the secret of an attempt in a Pod.
pub const SECRET: &str = "/.errand/secret";
/// Name of the file with the address at which a Pod reaches errand.
pub const ADDRESS: &str = "address";
/// Name of the file with the key of a Pod's connections.
pub const KEY: &str = "key";
/// Name of the file with the name of the attempt's Job.
pub const NAME: &str = "name";
/// Variable with the unique id of the Pod.
pub const POD_UID: &str = "ERRAND_POD_UID";
/// Folder of a Pod into which the programs of errand are copied.
pub const POD_PROGRAMS: &str = "/.errand/pod";
