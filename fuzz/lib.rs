//! nsdbg's modules, built for libFuzzer: nsdbg itself is a binary, which no other crate can import.

#![allow(dead_code, reason = "what the parsers don't reach is used by the binary")]
#![allow(missing_docs, reason = "the modules' own crate denies it")]

#[path = "../src/cmd/mod.rs"]
mod cmd;
#[path = "../src/enter/mod.rs"]
mod enter;
#[path = "../src/out/mod.rs"]
mod out;
#[path = "parsers.rs"]
pub mod parsers;
#[path = "../src/session/mod.rs"]
mod session;
#[path = "../src/shell/mod.rs"]
mod shell;
#[path = "../src/sys/mod.rs"]
mod sys;
#[path = "../src/takes.rs"]
mod takes;
#[path = "../src/target/mod.rs"]
mod target;

#[doc(hidden)]
pub use libfuzzer_sys;

/// A fuzz target for a parser of [`parsers`].
#[macro_export]
macro_rules! target {
    ($parser:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::parsers::$parser(bytes));
    };
}
