//! Makes the gRPC types of the definition in `proto/`, and the descriptors that reflection serves.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("errand/v1/runs.proto")?;
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    std::fs::write(folder.join("runs_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    let files = compiler.file_descriptor_set();
    tonic_prost_build::configure().build_client(false).compile_fds(files)?;
    Ok(())
}
