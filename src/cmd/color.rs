//! `--color`, which every command that prints rows takes.

/// When something is done that is for a person's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Wherever the output goes.
    #[value(aliases = ["yes", "force"])]
    Always,
    /// On a terminal.
    #[value(aliases = ["tty", "if-tty"])]
    Auto,
    /// Not at all.
    #[value(aliases = ["no", "none"])]
    Never,
}

impl When {
    /// Whether it is done, where `auto` says what a terminal wants.
    pub fn holds(self, auto: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Auto => auto,
            Self::Never => false,
        }
    }
}

/// The option.
pub fn option() -> clap::Arg {
    clap::Arg::new("color")
        .long("color")
        .visible_alias("colour")
        .value_name("WHEN")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("always")
        .overrides_with("color")
        .value_parser(clap::builder::EnumValueParser::<When>::new())
        .help("Colour the output, where it has colours; auto is on a terminal")
}

#[cfg(test)]
mod tests {
    use crate::cmd::{Prints, REGISTRY};

    #[test]
    fn every_command_that_prints_rows_takes_it() {
        for entry in REGISTRY {
            let has = entry.full_parser().get_arguments().any(|option| option.get_id() == "color");
            assert_eq!(has, entry.prints != Prints::Bytes, "{}", entry.name);
            if has {
                for option in ["--color", "--color=never", "--colour=auto", "--color=if-tty"] {
                    let wrong = entry.parse(vec![option.into()]).err().map(|fault| fault.to_string());
                    assert!(wrong.is_none_or(|wrong| !wrong.contains("color")), "{} {option}", entry.name);
                }
            }
        }
    }
}
