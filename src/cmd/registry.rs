//! Every command, one line each.

use super::{BUILTINS, Entry, entry};
use super::{
    cat, certs, cgroup, copy, df, dns, doctor, du, echo, env, file, free, grep, head, help, history, http,
    info, ip, kill, ldd, ls, lsof, mounts, nc, netstat, ping, proc, ps, pstree, pwd, readlink, rows, sleep,
    sort, stat, sums, tail, targets, tcp, tls, truth, uniq, users, wc, who, why,
};

/// All commands, by name.
pub static REGISTRY: &[Entry] = &[
    entry::<cat::Cat>("cat", &[]),
    entry::<certs::Certs>("certs", &[]),
    entry::<cgroup::Cgroup>("cgroup", &[]),
    entry::<rows::Count>("count", &[]),
    entry::<df::Df>("df", &[]),
    entry::<dns::Dns>("dns", &["dig"]),
    entry::<doctor::Doctor>("doctor", &["diagnose"]),
    entry::<du::Du>("du", &[]),
    entry::<echo::Echo>("echo", &[]),
    entry::<env::Env>("env", &["printenv"]),
    entry::<truth::False>("false", &[]),
    entry::<file::FileKind>("file", &[]),
    entry::<super::find::Find>("find", &[]),
    entry::<rows::First>("first", &[]),
    entry::<free::Free>("free", &[]),
    entry::<copy::Get>("get", &[]),
    entry::<grep::Grep>("grep", &[]),
    entry::<head::Head>("head", &[]),
    entry::<help::Help>("help", &[]),
    entry::<history::History>("history", &[]),
    entry::<http::Http>("http", &[]),
    entry::<info::Info>("info", &[]),
    entry::<ip::Ip>("ip", &[]),
    entry::<kill::Kill>("kill", &[]),
    entry::<rows::Last>("last", &[]),
    entry::<ldd::Ldd>("ldd", &[]),
    entry::<ls::Ls>("ls", &[]),
    entry::<lsof::Lsof>("lsof", &["fds"]),
    entry::<mounts::Mounts>("mounts", &["mount", "findmnt"]),
    entry::<nc::Nc>("nc", &["netcat"]),
    entry::<netstat::Netstat>("netstat", &[]),
    entry::<ping::Ping>("ping", &[]),
    entry::<proc::Proc>("proc", &[]),
    entry::<ps::Ps>("ps", &[]),
    entry::<pstree::Pstree>("pstree", &[]),
    entry::<copy::Put>("put", &[]),
    entry::<pwd::Pwd>("pwd", &[]),
    entry::<readlink::Readlink>("readlink", &[]),
    entry::<rows::Select>("select", &[]),
    entry::<sums::Sha1>("sha1sum", &[]),
    entry::<sums::Sha256>("sha256sum", &[]),
    entry::<sums::Sha512>("sha512sum", &[]),
    entry::<sleep::Sleep>("sleep", &[]),
    entry::<sort::Sort>("sort", &[]),
    entry::<rows::SortBy>("sort-by", &[]),
    entry::<stat::Stat>("stat", &[]),
    entry::<tail::Tail>("tail", &[]),
    entry::<targets::Targets>("targets", &[]),
    entry::<tcp::Tcp>("tcp", &[]),
    entry::<tls::Tls>("tls", &[]),
    entry::<truth::True>("true", &[]),
    entry::<uniq::Uniq>("uniq", &[]),
    entry::<users::ListUsers>("users", &[]),
    entry::<wc::Wc>("wc", &[]),
    entry::<rows::Where>("where", &[]),
    entry::<who::Who>("who", &[]),
    entry::<why::Why>("why", &["namei"]),
];

/// The other side, outside, of commands that are two processes. The session starts it beside the command of the same
/// name; nobody can name it.
static PARTNERS: &[Entry] = &[
    entry::<doctor::Report>("doctor", &[]),
    entry::<copy::Receive>("get", &[]),
    entry::<copy::Send>("put", &[]),
];

/// The other side of a command, where it has one.
pub fn partner(of: &Entry) -> Option<&'static Entry> {
    PARTNERS.iter().find(|entry| entry.name == of.name)
}

/// The command with this name or alias.
pub fn find(name: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// What can be typed as a command's name, in alphabetical order.
pub fn names() -> Vec<String> {
    let all = REGISTRY.iter().map(|entry| entry.name);
    let mut all: Vec<String> =
        all.chain(BUILTINS.iter().map(|builtin| builtin.name)).map(str::to_owned).collect();
    all.sort_unstable();
    all
}

/// The command that a mistyped name most likely means: one letter inserted, dropped, changed or swapped with the next,
/// or its beginning.
pub fn nearest(typed: &str, more: &[&'static str]) -> Option<&'static str> {
    let names =
        || REGISTRY.iter().flat_map(|entry| std::iter::once(&entry.name).chain(entry.aliases)).chain(more);
    let edited =
        names().copied().filter(|name| distance(typed, name) == 1 && name.len().min(typed.len()) > 1);
    let begun = names().copied().filter(|name| typed.len() > 1 && name.starts_with(typed));
    edited.min().or_else(|| begun.min())
}

/// The nearest of some names: at most two edits, and fewer than the name has letters.
pub fn nearest_of<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len().min(typed.len()))
        .min()
        .map(|(_, name)| name)
}

/// Optimal string alignment distance between two names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::ffi::OsString;

    use super::super::Takes;
    use super::*;

    #[test]
    fn nearest_names_are_found() {
        assert_eq!(nearest("cta", &[]), Some("cat"));
        assert_eq!(nearest("exot", &["exit"]), Some("exit"));
        assert_eq!(nearest("zzz", &[]), None);
    }

    #[test]
    fn names_and_aliases_are_unique() {
        let mut names: Vec<_> =
            REGISTRY.iter().flat_map(|e| std::iter::once(e.name).chain(e.aliases.iter().copied())).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_argument_that_is_text_says_what_it_is() {
        let mut silent = Vec::new();
        for entry in REGISTRY {
            let parser = entry.full_parser();
            for arg in parser.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let kind = arg.get_value_parser().type_id();
                let is_text = kind == TypeId::of::<String>() || kind == TypeId::of::<OsString>();
                if is_text && arg.get_possible_values().is_empty() && arg.get::<Takes>().is_none() {
                    silent.push(format!("{} {}", entry.name, arg.get_id()));
                }
            }
        }
        assert!(silent.is_empty(), "{silent:?}");
    }
}
