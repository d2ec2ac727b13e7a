//! The facts of a process as a page.

use std::io::{self, Write};

use super::read::{Facts, Id, Ids};
use crate::out::Name;
use crate::out::name::escape;
use crate::out::units;

/// Threads that a page shows.
pub const THREADS: usize = 32;

/// Writes the page. No control character is written.
pub fn write(facts: &Facts, to: &mut dyn Write) -> io::Result<()> {
    for (name, value) in lines(facts) {
        writeln!(to, "{name:<14} {value}")?;
    }
    list("arguments", facts.args.iter().map(shown), to)?;
    match &facts.environment {
        None => writeln!(to, "environment    -")?,
        Some(all) => {
            list(
                "environment",
                all.iter().map(|one| format!("{}={}", shown(&one.name), shown(&one.value))),
                to,
            )?;
        }
    }
    namespaces(facts, to)?;
    limits(facts, to)?;
    threads(facts, to)
}

fn shown(name: &Name) -> String {
    escape(name.as_bytes())
}

fn or_dash(name: Option<&Name>) -> String {
    name.map_or_else(|| "-".to_owned(), shown)
}

fn list(title: &str, values: impl Iterator<Item = String>, to: &mut dyn Write) -> io::Result<()> {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return writeln!(to, "{title:<14} none");
    }
    writeln!(to, "{title}")?;
    values.try_for_each(|value| writeln!(to, "  {value}"))
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let parent = match (&facts.parent, facts.ppid) {
        (_, 0) => "outside of the container".to_owned(),
        (name, pid) => format!("{pid} ({})", or_dash(name.as_ref())),
    };
    let words = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(" ") };
    let mut lines = vec![
        ("process", format!("{} ({})", facts.pid, shown(&facts.comm))),
        ("state", state(facts.state)),
        ("parent", parent),
        (
            "started",
            format!(
                "{}, {} ago; {:.2} s on processors",
                facts.started,
                units::elapsed(facts.elapsed),
                facts.cpu_time
            ),
        ),
        ("program", or_dash(facts.exe.as_ref())),
        ("directory", or_dash(facts.cwd.as_ref())),
        ("root", or_dash(facts.root.as_ref())),
        ("user", ids(facts.uids.as_ref())),
        ("group", ids(facts.gids.as_ref())),
    ];
    let mut add = |name, value: String| lines.push((name, value));
    let groups: Vec<String> = facts.groups.iter().map(id).collect();
    add("groups", words(&groups));
    let sets = &facts.capabilities;
    for (name, set) in [
        ("capabilities", &sets.effective),
        ("permitted", &sets.permitted),
        ("inheritable", &sets.inheritable),
        ("bounding", &sets.bounding),
        ("ambient", &sets.ambient),
    ] {
        add(name, words(set));
    }
    let signals = &facts.signals;
    let pending: Vec<String> = signals.pending.iter().chain(&signals.pending_shared).cloned().collect();
    for (name, set) in [
        ("pending", &pending),
        ("blocked", &signals.blocked),
        ("ignored", &signals.ignored),
        ("caught", &signals.caught),
    ] {
        add(name, words(set));
    }
    let privileges = if facts.no_new_privs == Some(true) { ", no_new_privs" } else { "" };
    let label = facts.label.as_ref().map(|label| format!(", label {}", shown(label))).unwrap_or_default();
    add("confinement", format!("seccomp {}{privileges}{label}", facts.seccomp.unwrap_or("-")));
    add("cgroup", or_dash(facts.cgroup.as_ref()));
    add("memory", memory(facts));
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    add("oom score", format!("{}, adjusted by {}", number(facts.oom_score), number(facts.oom_score_adj)));
    add("open files", facts.open_files.map_or_else(|| "-".to_owned(), |count| count.to_string()));
    lines
}

/// A state as proc_pid_stat(5) has it.
fn state(letter: char) -> String {
    let word = match letter {
        'R' => "running",
        'S' => "sleeping",
        'D' => "in a wait that can't be interrupted",
        'Z' => "zombie: it has ended, and waits for its parent",
        'T' => "stopped",
        't' => "stopped by its tracer",
        'I' => "idle",
        'X' => "dead",
        _ => return letter.to_string(),
    };
    format!("{letter} ({word})")
}

fn id(id: &Id) -> String {
    match &id.name {
        Some(name) => format!("{} ({})", id.id, escape(name.as_bytes())),
        None => id.id.to_string(),
    }
}

fn ids(ids: Option<&Ids>) -> String {
    let Some(Ids { real, effective, saved, file_system }) = ids else { return "-".to_owned() };
    if [effective, saved, file_system].iter().all(|other| *other == real) {
        return id(real);
    }
    let all = [("real", real), ("effective", effective), ("saved", saved), ("file system", file_system)];
    all.map(|(name, one)| format!("{name} {}", id(one))).join(", ")
}

fn memory(facts: &Facts) -> String {
    let memory = &facts.memory;
    let all = [
        ("resident", memory.rss),
        ("proportional", memory.pss),
        ("anonymous", memory.anonymous),
        ("of files", memory.file),
        ("shared", memory.shared),
        ("swapped", memory.swap),
        ("locked", memory.locked),
        ("virtual", memory.size),
        ("peak", memory.peak),
    ];
    let known: Vec<String> = all
        .into_iter()
        .filter_map(|(name, bytes)| Some(format!("{} {name}", units::bytes(bytes?))))
        .collect();
    if known.is_empty() { "-".to_owned() } else { known.join(", ") }
}

fn namespaces(facts: &Facts, to: &mut dyn Write) -> io::Result<()> {
    let line = |namespace: &super::read::Namespace| {
        let whose = match (namespace.is_targets, namespace.is_first) {
            (Some(true), _) => "the target's",
            (Some(false), Some(true)) => "PID 1's, not the target's",
            (Some(false), _) => "not the target's",
            (None, _) => "-",
        };
        let inode = namespace.inode.map_or_else(|| "-".to_owned(), |inode| inode.to_string());
        format!("{:<7} {inode:>10}  {whose}", namespace.kind)
    };
    list("namespaces", facts.namespaces.iter().map(line), to)
}

fn limits(facts: &Facts, to: &mut dyn Write) -> io::Result<()> {
    if facts.limits.is_empty() {
        return writeln!(to, "limits         -");
    }
    writeln!(to, "{:<20} {:>12} {:>12} {:>12}", "limits", "USED", "SOFT", "HARD")?;
    for limit in &facts.limits {
        let shown = |value: Option<u64>, none: &str| match value {
            None => none.to_owned(),
            Some(value) if limit.unit == "bytes" => units::bytes(value),
            Some(value) => value.to_string(),
        };
        let (soft, hard) = (shown(limit.soft, "unlimited"), shown(limit.hard, "unlimited"));
        writeln!(to, "  {:<18} {:>12} {soft:>12} {hard:>12}", limit.name, shown(limit.used, ""))?;
    }
    Ok(())
}

fn threads(facts: &Facts, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "{:<14} {}", "threads", facts.thread_count)?;
    for thread in facts.threads.iter().take(THREADS) {
        let wchan = or_dash(thread.wchan.as_ref());
        writeln!(to, "  {:>7} {} {wchan:<24} {}", thread.tid, thread.state, shown(&thread.comm))?;
    }
    let more = usize::try_from(facts.thread_count).unwrap_or(0).saturating_sub(THREADS);
    if more > 0 && facts.threads.len() >= THREADS {
        writeln!(to, "  and {more} more: ps -T -p {} lists them", facts.pid)?;
    }
    Ok(())
}
