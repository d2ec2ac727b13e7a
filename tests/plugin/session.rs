//! One pod: what reaches nsdbg, what comes back, and the terminal.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Cluster, cluster, clusters, helper, line, pod, terminal};

/// The words after `exec` of the only such call.
fn exec(cluster: &Cluster) -> Vec<String> {
    let calls = cluster.calls_of("exec");
    assert_eq!(calls.len(), 1, "{calls:?}");
    let at = calls[0].iter().position(|word| word == "exec").unwrap();
    calls[0][at + 1..].to_vec()
}

// Seen to fail with the words passed on without quotes.
#[test]
fn each_word_of_a_command_arrives_as_it_was_typed() {
    for cluster in clusters() {
        let words = [
            "echo",
            "a b",
            "it's",
            "$(touch x)",
            "`id`",
            "",
            "*",
            "-n",
            "--",
            "\\",
            "two\nlines\n",
            "\"",
            "ü",
        ];
        let ran = cluster.run(&[&["web-0", "--"][..], &words].concat());
        assert_eq!((ran.status, ran.err.contains("touch")), (0, false), "{ran:?}");
        let shown: Vec<String> =
            words.iter().map(|word| word.trim_end_matches('\n').replace('\n', "\\n")).collect();
        let head = [
            "-i",
            "-n",
            "nsdbg-system",
            "nsdbg-n1",
            "-c",
            "nsdbg",
            "--",
            "/nsdbg",
            "--end-with-stdin",
            "id:app0123456789ab",
            "--",
        ];
        assert_eq!(
            exec(&cluster),
            [&head[..], &shown.iter().map(String::as_str).collect::<Vec<_>>()].concat()
        );
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

// Seen to fail with kubectl's own status and its line in place of the command's.
#[test]
fn the_status_is_the_commands_and_kubectl_says_nothing_of_it() {
    for cluster in clusters() {
        for status in [0, 1, 2, 3, 60, 124, 125, 127, 137] {
            cluster.has("exec", &format!("echo out; echo told >&2; exit {status}"));
            let ran = cluster.run(&["-n", "prod", "web-0", "-c", "app", "--", "ls"]);
            assert_eq!((ran.status, ran.text().as_str(), ran.err.as_str()), (status, "out\n", "told\n"));
        }
        // What a command says is not taken for what kubectl says.
        cluster.has("exec", "echo 'command terminated with exit code 9' >&2; echo more >&2; exit 4");
        let ran = cluster.run(&["web-0", "-c", "app", "--", "ls"]);
        assert_eq!((ran.status, ran.err.as_str()), (4, "command terminated with exit code 9\nmore\n"));
    }
}

// Seen to fail with a terminal asked for, which turns line ends into two bytes.
#[test]
fn a_copy_arrives_byte_for_byte_and_so_does_standard_input() {
    for cluster in clusters() {
        let bytes: Vec<u8> =
            (0..1_048_576_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(cluster.files.join("bytes"), &bytes).unwrap();
        cluster.has("exec", "cat \"$FAKE/bytes\"; cat >\"$FAKE/taken\"");
        let mut child = cluster
            .command(&["web-0", "-c", "app", "--", "get", "/x", "-"])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), bytes.clone());
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let ran = cluster.end(child);
        writer.join().unwrap().unwrap();
        assert!(ran.status == 0 && ran.out == bytes, "{} bytes, {}", ran.out.len(), ran.err);
        assert!(fs::read(cluster.files.join("taken")).unwrap() == bytes, "standard input");
    }
}

/// What standard input is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Input {
    Terminal,
    Null,
    Pipe,
}

// Seen to fail with -t where standard output is a pipe, and with -i alone where a pager reads the same terminal.
#[test]
fn a_terminal_is_asked_for_where_there_is_one_on_both_sides() {
    use Input::{Null, Pipe, Terminal};
    // stdin, whether stdout is a terminal, a command, kubectl's flags, and whether nsdbg ends with its stdin.
    let cases: [(Input, bool, bool, &[&str], bool); 8] = [
        (Terminal, true, false, &["-i", "-t"], false),
        (Terminal, true, true, &["-i", "-t"], false),
        (Terminal, false, true, &["-i"], true),
        (Terminal, false, false, &["-i"], false),
        (Null, true, true, &["-i"], true),
        (Null, false, false, &["-i"], false),
        (Pipe, true, true, &["-i"], false),
        (Pipe, false, false, &["-i"], false),
    ];
    for (stdin, stdout, has_command, flags, ends) in cases {
        for cluster in clusters() {
            // What stays open is no end, whoever reads it.
            cluster.has("exec", "exec 9<&0; cat <&9 >\"$FAKE/read\" & reader=$!; sleep 0.3; kill $reader 2>/dev/null && echo open >\"$FAKE/is\"");
            let args: &[&str] = if has_command { &["web-0", "--", "ls"] } else { &["web-0"] };
            let (mut master, end) = terminal();
            let mut command = cluster.command(args);
            match stdin {
                Terminal => command.stdin(end.try_clone().unwrap()),
                Null => command.stdin(Stdio::null()),
                Pipe => command.stdin(Stdio::piped()),
            };
            if stdout {
                command.stdout(end.try_clone().unwrap());
            }
            let mut child = command.process_group(0).spawn().unwrap();
            if let Some(mut pipe) = child.stdin.take() {
                pipe.write_all(b"typed").unwrap();
            }
            drop((command, end));
            std::thread::spawn(move || {
                let mut rest = Vec::new();
                let _ = master.read_to_end(&mut rest);
            });
            let ran = cluster.end(child);
            let asked = exec(&cluster);
            let until = asked.iter().position(|word| word == "-n").unwrap();
            let name = format!("{stdin:?} {stdout} {has_command} {:?}", cluster.shell);
            assert_eq!(&asked[..until], flags, "{name}: {ran:?}");
            assert_eq!(asked.iter().any(|word| word == "--end-with-stdin"), ends, "{name}: {asked:?}");
            if stdin == Pipe {
                assert_eq!(
                    (cluster.file("read").as_str(), cluster.file("is").as_str()),
                    ("typed", ""),
                    "{name}"
                );
            }
        }
    }
}

// Seen to fail with </dev/null, and with the terminal: its end was there at once, or somebody else's keys.
#[test]
fn a_commands_standard_input_is_held_open_for_as_long_as_we_are_there() {
    for cluster in clusters() {
        let held = "timeout 1 head -c 1 >\"$FAKE/read\"; echo $? >\"$FAKE/status\"";
        cluster.has("exec", held).has("pods", &pod("web-0", "n1", "Running", ""));
        for args in [&["web-0", "-c", "app", "--", "ls"][..], &["-l", "a", "-q", "--", "ls"]] {
            let ran = cluster.run(args);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
            assert_eq!(
                (cluster.file("read").as_str(), cluster.file("status").trim()),
                ("", "124"),
                "{args:?}"
            );
        }
        let calls = cluster.calls_of("exec");
        for call in &calls {
            assert!(
                call.contains(&"-i".to_owned()) && call.contains(&"--end-with-stdin".to_owned()),
                "{call:?}"
            );
        }
    }
}

// Seen to fail without the annotation, and without the sentence.
#[test]
fn a_pod_of_several_containers_has_one_that_is_meant_and_it_is_said_which() {
    for (default, args, id, says) in [
        ("", &["web-0", "--", "ls"][..], "id:app0123456789ab", Some("container app of app, sidecar")),
        (
            "sidecar",
            &["web-0", "--", "ls"],
            "id:sidecar0123456789ab",
            Some("container sidecar of app, sidecar"),
        ),
        // An annotation that names none of them.
        ("gone", &["web-0", "--", "ls"], "id:app0123456789ab", Some("container app of app, sidecar")),
        ("", &["web-0", "-csidecar", "--", "ls"], "id:sidecar0123456789ab", None),
        ("", &["web-0", "--container=sidecar", "--", "ls"], "id:sidecar0123456789ab", None),
    ] {
        let cluster = cluster();
        cluster.has("pod", &pod("web-0", "n1", "Running", default));
        let ran = cluster.run(args);
        assert!(exec(&cluster).iter().any(|word| word == id), "{args:?}: {:?}", cluster.calls());
        assert_eq!((ran.status, ran.err.is_empty()), (0, says.is_none()), "{ran:?}");
        assert!(ran.err.contains(says.unwrap_or_default()), "{ran:?}");
    }
}

// Seen to fail with the names of `spec.containers` alone, and with an init container that has ended.
#[test]
fn sidecars_that_run_are_named_and_so_is_the_sandbox() {
    let state = |name: &str, started: &str, reason: &str| {
        line("C", &[name, &format!("containerd://{name}0123456789ab"), started, "", reason])
    };
    let more = state("setup", "", "Completed") + &state("mesh", "2026-01-01T00:00:00Z", "");
    let pod = pod("web-0", "n1", "Running", "").replace(".\n", &(more + ".\n"));
    for cluster in clusters() {
        cluster.has("pod", &pod).has("pods", &pod);
        for (args, target, says) in [
            (
                &["web-0", "--", "ls"][..],
                "id:app0123456789ab",
                "container app of app, sidecar, mesh: another by -c",
            ),
            (&["web-0", "-c", "mesh", "--", "ls"], "id:mesh0123456789ab", ""),
            (&["web-0", "-c", "POD", "--", "ls"], "pod:prod/web-0/POD", ""),
            (&["-l", "a", "-q", "-cPOD", "--", "ls"], "pod:prod/web-0/POD", ""),
        ] {
            let _ = fs::remove_file(cluster.files.join("count"));
            let ran = cluster.run(args);
            let said = if says.is_empty() { String::new() } else { format!("kubectl nsdbg: {says}\n") };
            assert_eq!((ran.status, ran.err), (0, said), "{args:?}");
            assert!(exec(&cluster).iter().any(|word| word == target), "{args:?}: {:?}", cluster.calls());
        }
    }
}

// Seen to fail with the first pod of the list.
#[test]
fn what_owns_pods_leads_to_one_that_is_ready() {
    for cluster in clusters() {
        let owner = line("M", &["app", "web"])
            + &line("X", &["In", "tier"])
            + &line("V", &["a"])
            + &line("V", &["b"])
            + &line("X", &["Exists", "x"])
            + &line("X", &["DoesNotExist", "y"])
            + &line("X", &["NotIn", "z"])
            + &line("V", &["c"]);
        let pods = line("W", &["web-9", "Pending", "False", ""])
            + &line("W", &["web-8", "Running", "True", "2026-01-01T00:00:00Z"])
            + &line("W", &["web-7", "Running", "False", ""])
            + &line("W", &["web-0", "Running", "True", ""]);
        cluster.has("owner", &owner).has("pods", &pods);
        let ran = cluster.run(&["-n", "prod", "deploy/web", "-c", "app", "--", "ls"]);
        assert_eq!((ran.status, ran.err.as_str()), (0, "kubectl nsdbg: deploy/web: pod web-0, one of 4\n"));
        let calls = cluster.calls_of("get");
        assert!(calls[0].contains(&"deploy/web".to_owned()), "{calls:?}");
        assert!(
            calls[1].contains(&"--selector=app=web,tier in (a,b),x,!y,z notin (c)".to_owned()),
            "{calls:?}"
        );
        assert!(calls[2].contains(&"web-0".to_owned()), "{calls:?}");
    }
}

// Seen to fail without them in `kube`.
#[test]
fn which_cluster_and_who_is_said_in_each_call() {
    for cluster in clusters() {
        let options = [
            "--context",
            "it's mine",
            "--kubeconfig=/a b/c",
            "--as",
            "jane",
            "--as-group=ops",
            "--kube-user",
            "u",
        ];
        let ran = cluster.run(&[&options[..], &["web-0", "--", "ls"]].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        let calls = cluster.calls();
        assert_eq!(calls.len(), 3, "{calls:?}");
        let wanted = [
            "--context",
            "it's mine",
            "--kubeconfig",
            "/a b/c",
            "--as",
            "jane",
            "--as-group",
            "ops",
            "--user",
            "u",
        ];
        for call in calls {
            assert_eq!(&call[..wanted.len()], wanted);
        }
    }
}

// Seen to fail with --reason after the target.
#[test]
fn nsdbgs_own_options_and_the_reason_reach_it() {
    for cluster in clusters() {
        let mut command = cluster.command(&[
            "--json",
            "web-0",
            "--user=0:0",
            "--timeout",
            "2m",
            "--idle-limit=1h",
            "--ns",
            "-net",
            "--line",
            "ps | count",
        ]);
        let ran =
            cluster.end(command.env("NSDBG_REASON", "ticket 7, it's").process_group(0).spawn().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        let words = exec(&cluster);
        let at = words.iter().position(|word| word == "/nsdbg").unwrap();
        let wanted = [
            "--end-with-stdin",
            "--reason=ticket 7, it's",
            "--json",
            "--user=0:0",
            "--timeout=2m",
            "--idle-limit=1h",
            "--ns=-net",
            "-c",
            "ps | count",
            "id:app0123456789ab",
        ];
        assert_eq!(&words[at + 1..], wanted);
    }
}

// Seen to fail without the look at the label.
#[test]
fn another_version_in_the_cluster_is_told() {
    let cluster = cluster();
    cluster.has("helpers", &helper("n1").replace(crate::harness::VERSION, "0.0.9"));
    let ran = cluster.run(&["web-0", "-c", "app", "--", "ls"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("nsdbg in the cluster is 0.0.9") && ran.err.contains("--install"), "{ran:?}");
}

// Seen to fail with a plugin of another version than the manifest's and Cargo.toml's.
#[test]
fn the_plugin_the_manifest_and_the_binary_have_one_version() {
    let version = crate::harness::VERSION;
    let ran = cluster().run(&["--version"]);
    assert_eq!(ran.text(), format!("kubectl-nsdbg {version}\n"));
    let manifest = fs::read_to_string(crate::harness::plugin().with_file_name("daemonset.yaml")).unwrap();
    assert!(manifest.contains(&format!("app.kubernetes.io/version: \"{version}\"\n")));
    assert!(manifest.contains(&format!("image: localhost/nsdbg:{version}\n")));
}

// Seen to fail with a plugin that waits for a standard input that is not its own.
#[test]
fn lines_of_standard_input_are_passed_on() {
    let cluster = cluster();
    cluster.has("exec", "cat");
    let mut child = cluster.command(&["web-0"]).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ls /\nps\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(cluster.end(child).text(), "ls /\nps\n");
}
