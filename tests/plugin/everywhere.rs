//! A selector and a command: all pods at once, as JSON Lines.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{Cluster, LIMIT, cluster, clusters, helper, line, pod};

/// So many pods, two on each node; nsdbg is on all nodes.
fn many(cluster: &Cluster, count: usize) {
    let node = |at: usize| format!("n{}", at / 2);
    let pods: String = (0..count).map(|at| pod(&format!("web-{at}"), &node(at), "Running", "")).collect();
    let helpers: String = (0..count.div_ceil(2)).map(|at| helper(&format!("n{at}"))).collect();
    cluster.has("pods", &pods).has("helpers", &helpers);
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

// Seen to fail with quotes, control characters or bytes passed on as they are.
#[test]
fn each_line_is_an_object_with_node_namespace_pod_and_container() {
    for cluster in clusters() {
        many(&cluster, 3);
        let text = r#"printf 'plain\nq"uote\\\n\ttab\001\177\rüñ\nbad\377\n{"a":1}\n\nlast'"#;
        cluster.has("exec", text);
        let ran = cluster.run(&["-n", "prod", "-l", "app=web", "--", "cat", "x"]);
        let all = rows(std::str::from_utf8(&ran.out).unwrap());
        assert_eq!((ran.status, all.len()), (0, 21), "{ran:?}");
        for (pod, node) in [("web-0", "n0"), ("web-1", "n0"), ("web-2", "n1")] {
            let mine: Vec<&Value> = all.iter().filter(|row| row["pod"] == pod).collect();
            let lines: Vec<&str> = mine.iter().map(|row| row["line"].as_str().unwrap()).collect();
            let wanted =
                ["plain", "q\"uote\\", "\ttab\u{1}\u{7f}\rüñ", "bad\u{fffd}", "{\"a\":1}", "", "last"];
            assert_eq!(lines, wanted, "{:?}", cluster.shell);
            for row in mine {
                assert_eq!(
                    (&row["node"], &row["namespace"], &row["container"]),
                    (&node.into(), &"prod".into(), &"app".into())
                );
            }
        }
        assert!(ran.err.contains("[3/3] n"), "{ran:?}");
    }
}

// Seen to fail with rows wrapped as lines, and with their fields put beside those of the pod.
#[test]
fn rows_of_nsdbg_stand_below_one_key() {
    for cluster in clusters() {
        many(&cluster, 1);
        cluster.has(
            "exec",
            r#"echo '{"name":"a","size":1}'; echo '{}'; echo '{"pod":"other","row":[1,{"x":null}]}'"#,
        );
        let ran = cluster.run(&["-l", "app=web", "-q", "--json", "--", "ls"]);
        let head = r#""node":"n0","namespace":"prod","pod":"web-0","container":"app","row":"#;
        let rows = [r#"{"name":"a","size":1}"#, "{}", r#"{"pod":"other","row":[1,{"x":null}]}"#];
        assert_eq!(ran.text(), rows.map(|row| format!("{{{head}{row}}}\n")).concat());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""));
        let exec = &cluster.calls_of("exec")[0];
        assert!(exec.ends_with(&["--json", "id:app0123456789ab", "--", "ls"].map(str::to_owned)), "{exec:?}");
    }
}

// Seen to fail with all at once, and with one after the other.
#[test]
fn no_more_than_asked_for_run_at_the_same_time() {
    for cluster in clusters() {
        many(&cluster, 9);
        let count = "mkdir -p \"$FAKE/now\"; : >\"$FAKE/now/$$\"; ls \"$FAKE/now\" | wc -l >>\"$FAKE/most\"; sleep 0.3; rm \"$FAKE/now/$$\"";
        cluster.has("exec", count);
        let ran = cluster.run(&["-l", "app=web", "--max", "3", "--", "ls"]);
        assert_eq!((ran.status, cluster.calls_of("exec").len()), (0, 9), "{ran:?}");
        let most: Vec<u32> = cluster.file("most").lines().map(|line| line.trim().parse().unwrap()).collect();
        let most = *most.iter().max().unwrap();
        assert!((2..=3).contains(&most), "{most} at once");
    }
}

// Seen to fail without the limit of each pod, and with a worker for each node.
#[test]
fn a_dead_node_does_not_stop_the_rest_and_the_worst_status_is_told() {
    for cluster in clusters() {
        many(&cluster, 8);
        cluster.has(
            "exec",
            "case $1 in *-n0) sleep 60 ;; *-n1) exit 3 ;; *-n2) echo 'bad' >&2; exit 1 ;; esac; echo fine",
        );
        let begun = Instant::now();
        let ran = cluster.run(&["-l", "app=web", "--max", "2", "--wait", "1", "--", "ls"]);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(ran.status, 124, "{ran:?}");
        assert_eq!(rows(&ran.text()).len(), 2, "{ran:?}");
        assert!(ran.err.contains("n0 prod/web-0: kubectl nsdbg: no end within 1 s (--wait)"), "{ran:?}");
        assert!(
            ran.err.contains("n2 prod/web-4: bad\n") && ran.err.contains("n1 prod/web-2: 3\n"),
            "{ran:?}"
        );
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

// Seen to fail with the limit of this side alone: the command went on there.
#[test]
fn the_limit_of_each_pod_is_the_commands_own() {
    let cluster = cluster();
    many(&cluster, 1);
    for (options, limits) in [
        (&["--wait", "7"][..], &["--timeout=7s"][..]),
        (&[], &["--timeout=120s"]),
        (&["--wait=0"], &[]),
        (&["--timeout", "2m"], &["--timeout=2m"]),
    ] {
        let _ = std::fs::remove_file(cluster.files.join("count"));
        let ran = cluster.run(&[&["-l", "app=web"], options, &["--", "ls"]].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        let words = cluster.calls_of("exec").remove(0);
        let own: Vec<&String> = words.iter().filter(|word| word.starts_with("--timeout")).collect();
        assert_eq!(own, limits, "{words:?}");
    }
}

// Seen to fail with the first of them as the end.
#[test]
fn pods_that_can_not_be_reached_are_told_and_the_others_are_looked_into() {
    let cluster = cluster();
    many(&cluster, 6);
    let head = |name, node, phase| line("P", &["prod", name, node, phase, ""]);
    let pods = cluster.file("pods");
    let pods = pods.replacen(&head("web-5", "n2", "Running"), &head("web-5", "", "Pending"), 1);
    let pods = pods.replacen(&head("web-4", "n2", "Running"), &head("web-4", "n2", "Succeeded"), 1);
    let helpers = format!("{}{}", helper("n0"), helper("n1").replace("True", "Unknown"));
    cluster.has("pods", &pods).has("helpers", &helpers).has("exec", "echo fine");
    let ran = cluster.run(&["-A", "-l", "app=web", "--", "ls"]);
    assert_eq!((ran.status, rows(&ran.text()).len()), (125, 2), "{ran:?}");
    assert!(ran.err.contains("prod/web-2: kubectl nsdbg: node n1 is not ready"), "{ran:?}");
    assert!(ran.err.contains("prod/web-5: kubectl nsdbg: pod prod/web-5 is on no node yet"), "{ran:?}");
    assert!(!ran.err.contains("web-4"), "what has finished is not meant: {ran:?}");
    assert!(cluster.calls_of("get")[0].contains(&"--all-namespaces".to_owned()));
}

// Seen to fail with `ending` without its loop: the commands go on.
#[test]
fn ctrl_c_and_sigterm_end_all_of_them() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for cluster in clusters() {
            many(&cluster, 6);
            cluster.has("exec", "echo $$ >>\"$FAKE/pids\"; exec sleep 47");
            let child = cluster
                .command(&["-l", "app=web", "--max", "2", "--", "ls"])
                .process_group(0)
                .spawn()
                .unwrap();
            let pid = Pid::from_raw(child.id() as i32);
            let end = Instant::now() + LIMIT;
            while cluster.file("pids").lines().count() < 2 && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            // As a terminal sends it, to all; as a service manager does, to the one.
            if signal == Signal::SIGINT {
                killpg(pid, signal).unwrap()
            } else {
                kill(pid, signal).unwrap()
            }
            let begun = Instant::now();
            let ran = cluster.end(child);
            assert_eq!(ran.status, status, "{:?}: {ran:?}", cluster.shell);
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
            assert!(cluster.left().is_empty(), "{:?}", cluster.left());
            assert_eq!(cluster.calls_of("exec").len(), 2, "no more are begun");
        }
    }
}
