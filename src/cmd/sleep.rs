//! `sleep`.

use std::time::Duration;

use super::{Command, Context, Example, Place, Prints, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;

/// Wait for a time.
#[derive(clap::Parser)]
pub struct Sleep {
    /// Times to wait, added up: 5, 0.5, 2m, 1h, 1d
    #[arg(required = true, value_parser = parse)]
    times: Vec<Duration>,
}

impl Command for Sleep {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils sleep";
    const EXAMPLES: &'static [Example] = &[Example { line: "sleep 0.1", what: "a tenth of a second" }];

    fn run(self, _: &mut Context, _: &mut Output<NoRow>) -> Result<Status> {
        std::thread::sleep(self.times.iter().fold(Duration::ZERO, |sum, time| sum.saturating_add(*time)));
        Ok(Status::OK)
    }
}

fn parse(text: &str) -> std::result::Result<Duration, String> {
    let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let scale = match &text[number.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("not a time".to_owned()),
    };
    let seconds = number.parse::<f64>().map_err(|_| "not a time".to_owned())? * scale;
    Duration::try_from_secs_f64(seconds).map_err(|_| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "x", "-1", "1w", "1ms", "nan"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
