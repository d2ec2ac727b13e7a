//! How the binary is linked: its entry point is that of src/enter/early.rs, and its relocations are packed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("x86_64-") || target.starts_with("aarch64-") {
        println!("cargo::rustc-link-arg-bins=-Wl,-e,nsdbg_start");
    }
    // Without this the 17,000 addresses in tables take 24 bytes each: a twentieth of the file. glibc's start code reads the
    // packed form since 2.36.
    if target == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
