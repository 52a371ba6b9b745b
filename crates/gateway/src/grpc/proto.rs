//! The types of `proto/errand/v1/runs.proto`.
//!
//! The generated files are part of the repository: their compiler would be a tenth of a build from
//! scratch. A test compares them with the definition, and writes them anew if `ERRAND_GENERATE` is
//! set, as `cargo xtask gen` does.

#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    unreachable_pub,
    unused_qualifications,
    reason = "tonic-prost-build generates them"
)]

include!("generated/errand.v1.rs");

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn generated_files_are_those_of_the_definition() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut compiler = protox::Compiler::new([package.join("proto")]).unwrap();
        compiler.include_source_info(true).include_imports(true);
        compiler.open_file("errand/v1/runs.proto").unwrap();
        let made = tempfile::tempdir().unwrap();
        std::fs::write(
            made.path().join("runs_descriptor.bin"),
            compiler.encode_file_descriptor_set(),
        )
        .unwrap();
        tonic_prost_build::configure()
            .build_client(false)
            .out_dir(made.path())
            .emit_rerun_if_changed(false)
            .compile_fds(compiler.file_descriptor_set())
            .unwrap();
        for name in ["errand.v1.rs", "runs_descriptor.bin"] {
            let (made, kept) =
                (made.path().join(name), package.join("src/grpc/generated").join(name));
            if std::env::var_os("ERRAND_GENERATE").is_some() {
                std::fs::copy(&made, &kept).unwrap();
            }
            assert!(
                std::fs::read(made).unwrap() == std::fs::read(kept).unwrap(),
                "{name} is out of date: run `cargo xtask gen`"
            );
        }
    }
}
