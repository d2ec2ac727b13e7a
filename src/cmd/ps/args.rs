//! BSD's words for options: `ps aux`, `ps axf`, `ps axo pid,args`.

use std::ffi::OsString;

/// Options whose next word is their value.
const VALUED: &[&str] =
    &["-o", "-p", "-C", "-u", "-U", "-t", "--format", "--pid", "--ppid", "--user", "--tty", "--sort"];

/// Rewrites words of BSD letters into options. A word that holds another letter stays, and is refused as an operand.
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let mut rewritten = Vec::with_capacity(args.len());
    let mut value = false;
    for arg in args {
        let options = match arg.to_str() {
            Some(word) if !value => bsd(word),
            _ => None,
        };
        value = arg.to_str().is_some_and(|word| VALUED.contains(&word) || unix_valued(word));
        match options {
            Some(options) => {
                value = options.last().is_some_and(|last| VALUED.contains(last));
                rewritten.extend(options.iter().map(OsString::from));
            }
            None => rewritten.push(arg),
        }
    }
    rewritten
}

/// Whether a cluster of short options, as `-eo`, wants a value.
fn unix_valued(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|letters| {
        let mut letters = letters.chars();
        let last = letters.next_back();
        matches!(last, Some('o' | 'p' | 'C' | 'u' | 'U' | 't'))
            && letters.all(|c| "eAfFjlwTLHMNZh".contains(c))
    })
}

/// The options that a BSD word stands for. `-aux` is what people type for `aux`.
fn bsd(word: &str) -> Option<Vec<&'static str>> {
    let letters = match word.strip_prefix('-') {
        Some(letters) if letters.starts_with("ax") || letters.starts_with("aux") => letters,
        Some(_) => return None,
        None => word,
    };
    if letters.is_empty() {
        return None;
    }
    let mut options = Vec::new();
    for (at, letter) in letters.char_indices() {
        let last = at + letter.len_utf8() == letters.len();
        options.push(match letter {
            'a' | 'x' => "-e",
            'u' => "--bsd-user",
            'f' => "--forest",
            'l' => "-l",
            'w' => "-w",
            'e' => "--environment",
            'h' => "--no-headers",
            'j' => "--bsd-jobs",
            'Z' => "-Z",
            'T' | 'H' => "-T",
            'o' if last => "-o",
            'p' if last => "-p",
            't' if last => "-t",
            'U' if last => "-u",
            'k' if last => "--sort",
            _ => return None,
        });
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bsd_words_become_options_and_values_stay() {
        for (line, rewritten) in [
            ("aux", "-e --bsd-user -e"),
            ("-aux", "-e --bsd-user -e"),
            ("axf", "-e -e --forest"),
            ("axo pid,args", "-e -e -o pid,args"),
            ("-C aux", "-C aux"),
            ("-eo pid f", "-eo pid --forest"),
            ("-ef f", "-ef --forest"),
            ("-u x", "-u x"),
            ("axjf", "-e -e --bsd-jobs --forest"),
            ("auxe", "-e --bsd-user -e --environment"),
            ("-eFt pts/0", "-eFt pts/0"),
            ("-u x aux", "-u x -e --bsd-user -e"),
            ("1234", "1234"),
            ("auxz", "auxz"),
            ("-eLf", "-eLf"),
        ] {
            let args = line.split(' ').map(OsString::from).collect();
            assert_eq!(rewrite(args).join(" ".as_ref()), rewritten, "{line}");
        }
    }
}
