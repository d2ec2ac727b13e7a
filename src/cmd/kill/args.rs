//! kill's own forms: `-9`, `-TERM`, `-SIGHUP`, and process groups as negative numbers.

use std::ffi::OsString;

use crate::sys::signal;

/// Rewrites a signal that is spelled as an option into `--signal=NAME`, and puts operands behind `--`, where negative
/// ones are safe.
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let (mut options, mut operands) = (Vec::new(), Vec::new());
    let mut has_signal = false;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some(rest) = arg.to_str().and_then(|text| text.strip_prefix('-')) else {
            operands.push(arg);
            continue;
        };
        match rest {
            "-" => operands.extend(args.by_ref()),
            "s" | "-signal" => {
                has_signal = true;
                options.push(arg);
                options.extend(args.next());
            }
            "" => operands.push(arg),
            _ if !has_signal && signal::parse(rest).is_some() => {
                has_signal = true;
                options.push(format!("--signal={rest}").into());
            }
            // No option is so long and begins with a capital: a signal that there is not.
            _ if !has_signal
                && rest.len() > 1
                && rest.starts_with(|first: char| first.is_ascii_uppercase()) =>
            {
                has_signal = true;
                options.push(format!("--signal={rest}").into());
            }
            _ if rest.bytes().all(|b| b.is_ascii_digit()) && has_signal => operands.push(arg),
            // A process group only behind `--` or a signal: -99 for a signal must not send TERM to the PIDs beside it.
            _ if rest.bytes().all(|b| b.is_ascii_digit()) => {
                has_signal = true;
                options.push(format!("--signal={rest}").into());
            }
            _ => {
                has_signal |= rest.starts_with('s') || rest.starts_with("-signal");
                options.push(arg);
            }
        }
    }
    if !operands.is_empty() {
        options.push("--".into());
        options.append(&mut operands);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_become_an_option() {
        for (line, rewritten) in [
            ("7", "-- 7"),
            ("-9 7", "--signal=9 -- 7"),
            ("-TERM 7 8", "--signal=TERM -- 7 8"),
            ("-SIGHUP web", "--signal=SIGHUP -- web"),
            ("-s HUP 7", "-s HUP -- 7"),
            ("-sHUP 7", "-sHUP -- 7"),
            ("--signal=HUP -5", "--signal=HUP -- -5"),
            ("-9 -5", "--signal=9 -- -5"),
            ("-9 -- -5", "--signal=9 -- -5"),
            ("-- -9", "-- -9"),
            ("-FOO 7", "--signal=FOO -- 7"),
            ("-l", "-l"),
            ("-l 9", "-l -- 9"),
            ("-v web", "-v -- web"),
            ("--no-such-option", "--no-such-option"),
            ("-0 1", "--signal=0 -- 1"),
            ("-1", "--signal=1"),
            ("-99 7", "--signal=99 -- 7"),
            ("-65 7", "--signal=65 -- 7"),
            ("7 -99", "--signal=99 -- 7"),
            ("-9 -99 7", "--signal=9 -- -99 7"),
            ("-s HUP -99", "-s HUP -- -99"),
            ("-99 -- -5", "--signal=99 -- -5"),
            ("-1 -- -5", "--signal=1 -- -5"),
            ("-s 99 7", "-s 99 -- 7"),
        ] {
            let args = line.split(' ').map(OsString::from).collect();
            assert_eq!(rewrite(args).join(" ".as_ref()), rewritten, "{line}");
        }
    }
}
