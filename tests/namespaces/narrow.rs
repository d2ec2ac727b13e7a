//! Tables on terminals of all widths: no line is longer, and what is left of it is right.

use unicode_width::UnicodeWidthStr;

use crate::live::run;
use crate::support::{Sandbox, needs_root, sandbox};
use crate::targets::{Root, id};

/// Widths of terminals, the last one wider than any line.
const WIDTHS: [usize; 10] = [1, 9, 20, 40, 60, 80, 100, 132, 200, 9999];

/// Lines are no longer than a terminal, what is shortened says so, and a terminal that is wide enough shows what a pipe
/// is given. Returns what is shown on 80 columns.
fn fits(what: &str, whole: &str, shown: impl Fn(usize) -> String) -> String {
    let words: Vec<&str> = whole.split_whitespace().collect();
    for width in WIDTHS {
        let text = shown(width);
        for line in text.lines() {
            assert!(line.width() <= width, "{what} on {width} columns: {line}\n{text}");
        }
        // Numbers and names are whole, or end with the ellipsis.
        for word in text.split_whitespace().filter(|word| !word.contains('…')) {
            assert!(words.contains(&word), "{what} on {width} columns: {word}\n{text}");
        }
        assert_eq!(text.lines().count(), whole.lines().count(), "{what} on {width} columns: {text}");
    }
    let widest = shown(9999);
    assert_eq!(widest.split_whitespace().collect::<Vec<_>>(), words, "{what}");
    shown(80)
}

// Seen to fail without the widths of Table: its lines are as long as their cells.
#[test]
fn the_list_of_containers_fits_the_terminal() {
    needs_root!();
    let target = sandbox().mode(&["serve", "7001"]).start();
    let root = Root::new();
    let name = "k8s-checkout-backend-deployment-7d9c5b8f6d-x2v9q-payments-production";
    root.docker(&id('a'), name, target.pid);
    // Its age, which grows, is none of it.
    let seconds = regex::Regex::new(r"\b00:\d\d\b").unwrap();
    let list = |options: &[&str]| {
        let text = root.run(&[options, &["--list", name]].concat()).ok();
        seconds.replace_all(&text, "00:00").into_owned()
    };
    let terminal = |width| format!("--terminal=stdout,columns={width}");
    let text = fits("--list", &list(&[]), |width| list(&[&terminal(width)]));
    let [head, row] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    // What it can be reached by is whole.
    assert!(head.starts_with("NAME") && head.contains("PID") && head.contains("STATE"), "{text}");
    assert!(row.contains(&id('a')[..12]) && row.contains(&target.pid.to_string()), "{text}");
    assert!(row.starts_with("k8s-checkout-ba") && row.contains('…') && row.contains("running"), "{text}");
    // All of it, on request, and in JSON.
    for options in [&["--wide"][..], &["--json"]] {
        let text = root.run(&[&["--list", name, &terminal(40)], options].concat()).ok();
        assert!(text.contains(name) && text.contains(&id('a')) && !text.contains('…'), "{text}");
    }
}

#[test]
fn sockets_mounts_and_other_tables_fit_the_terminal() {
    needs_root!();
    let long = "var/lib/kubelet-pods-0f8e2b1c-9d7a-4c55-8a3e-6f2b1d9c7e44-volumes-kubernetes.io-empty-dir";
    let target = sandbox().mode(&["serve", "7001"]).file(&format!("{long}/file"), "").start();
    for line in [
        "netstat -tlpn",
        "netstat -tlpne",
        "netstat -ai",
        "netstat -r",
        "netstat -r6",
        "mounts",
        "df --output=source,fstype,target",
        "users",
        "users -g",
        "lsof -p 1",
        "why /etc/passwd",
        "mounts | where target eq /",
        "mounts | select target,source,options",
        "who 1",
    ] {
        fits(line, &target.line(line).ok(), |width| on(&target, width, &["-c", line]));
    }
    let text = on(&target, 80, &["-c", "netstat -tlpn"]);
    assert!(text.contains("127.0.0.1:7001") && text.contains("LISTEN") && text.contains("1/"), "{text}");
    // What asks for all of it gets it.
    let wide = on(&target, 80, &["-c", "netstat -tlpnW"]);
    assert_eq!(wide, target.line("netstat -tlpn").ok());
    assert!(!on(&target, 20, &["-c", "findmnt -u"]).contains('…'));
    let json = on(&target, 20, &["--json", "-c", "mounts"]);
    assert!(!json.contains('…') && json.contains("\"super_options\""), "{json}");
}

fn on(target: &Sandbox, width: usize, words: &[&str]) -> String {
    run(target.nsdbg().arg(format!("--terminal=stdout,columns={width}")).args(words)).ok()
}
