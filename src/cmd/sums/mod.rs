//! `sha1sum`, `sha256sum`, `sha512sum`.

mod check;
mod line;

use std::ffi::{OsStr, OsString};

use ring::digest::{self, Algorithm};

use super::input::{Input, operands};
use super::text;
use super::{Command, Context, Example, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// What all of them take.
#[derive(clap::Args)]
struct Options {
    /// Check the files that lists name against the digests in them.
    #[arg(short, long)]
    check: bool,
    /// Mark files as read in binary mode, by `*`: the digest is the same.
    #[arg(short, long, overrides_with = "text")]
    binary: bool,
    /// Mark files as read in text mode, by a space: the digest is the same.
    #[arg(short, long, overrides_with = "binary")]
    text: bool,
    /// BSD's form: SHA256 (name) = digest.
    #[arg(long)]
    tag: bool,
    /// Lines end in NUL, and names are not escaped.
    #[arg(short, long)]
    zero: bool,
    /// With --check: say nothing of files that are as listed.
    #[arg(long, requires = "check")]
    quiet: bool,
    /// With --check: say nothing, the status tells.
    #[arg(long, requires = "check")]
    status: bool,
    /// With --check: pass over files that are not there.
    #[arg(long, requires = "check")]
    ignore_missing: bool,
    /// With --check: a line that is none of a list fails.
    #[arg(long, requires = "check")]
    strict: bool,
    /// With --check: name each line that is none of a list.
    #[arg(short, long, requires = "check")]
    warn: bool,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

/// A kind of digest.
struct Kind {
    algorithm: &'static Algorithm,
    /// As BSD's form names it.
    tag: &'static str,
}

impl Kind {
    /// The digest of all that is left of an input, in hexadecimal digits.
    fn of(&self, input: &Input) -> Result<String> {
        let mut context = digest::Context::new(self.algorithm);
        text::pieces(input, |piece| {
            context.update(piece);
            Ok(())
        })?;
        Ok(hexadecimal(context.finish().as_ref()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Options {
    fn run(&self, kind: &Kind, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let files = operands(self.files.clone());
        if self.check {
            return self.check_all(kind, &files, cx, out.bytes());
        }
        for path in &files {
            let printed = self.sum(kind, path, out);
            text::operand(cx, printed)?;
        }
        Ok(Status::OK)
    }

    fn sum(&self, kind: &Kind, path: &OsStr, out: &mut Output<NoRow>) -> Result<()> {
        let input = Input::open(path)?;
        let digest = kind.of(&input)?;
        let tag = self.tag.then_some(kind.tag);
        text::write(out.bytes(), &line::spelled(path, &digest, tag, self.binary, self.zero))
    }
}

macro_rules! sums {
    ($($name:ident, $kind:ident, $algorithm:ident, $tag:literal, $replaces:literal, $about:literal, $one:literal,
       $two:literal;)*) => { $(
        #[doc = $about]
        #[derive(clap::Parser)]
        #[command(args_override_self = true)]
        pub struct $name {
            #[command(flatten)]
            options: Options,
        }

        static $kind: Kind = Kind { algorithm: &digest::$algorithm, tag: $tag };

        impl Command for $name {
            type Row = NoRow;
            const PLACE: Place = Place::Inside;
            const NEEDS: Needs = Needs::STDIN;
            const PRINTS: Prints = Prints::Bytes;
            const REPLACES: &'static str = $replaces;
            const EXAMPLES: &'static [Example] = &[
                Example { line: $one, what: "its digest" },
                Example { line: $two, what: "whether files are as a list says" },
            ];

            fn reads_stdin(&self) -> bool {
                text::names_stdin(&self.options.files)
            }

            fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
                self.options.run(&$kind, cx, out)
            }
        }
    )* };
}

sums! {
    Sha1, SHA1, SHA1_FOR_LEGACY_USE_ONLY, "SHA1", "coreutils sha1sum",
        "Print or check SHA-1 digests.\n\nSHA-1 is broken: it tells accidents, not malice.",
        "sha1sum /etc/passwd", "sha1sum /etc/passwd | sha1sum -c";
    Sha256, SHA256, SHA256, "SHA256", "coreutils sha256sum", "Print or check SHA-256 digests.",
        "sha256sum /etc/passwd", "sha256sum /etc/passwd | sha256sum -c";
    Sha512, SHA512, SHA512, "SHA512", "coreutils sha512sum", "Print or check SHA-512 digests.",
        "sha512sum /etc/passwd", "sha512sum /etc/passwd | sha512sum -c";
}
