//! Names the entry point of the binary: src/enter/early.rs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("x86_64-") || target.starts_with("aarch64-") {
        println!("cargo::rustc-link-arg-bins=-Wl,-e,nsdbg_start");
    }
}
